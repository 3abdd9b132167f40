"""Federated averaging. Works on client updates that a hospital already released, so it costs no privacy.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017; with server momentum as FedAvgM: Hsu, Qi, Brown, "Measuring the Effects of
Non-Identical Data Distribution for Federated Visual Classification", 2019. FedProx averages like this too; what makes
it FedProx, the pull of Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, is the hospital's.
"""

from __future__ import annotations

from dataclasses import dataclass

from researcher.strategies.server_step import ServerStep


@dataclass(frozen=True)
class FedAvg(ServerStep):
    """Moves the global weights by the mean client update, each datasite weighted by its public size."""
