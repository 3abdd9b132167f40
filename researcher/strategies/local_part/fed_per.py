"""FedPer: every hospital keeps a last layer of its own, which never leaves it, on top of layers that all share.

Arivazhagan, Aggarwal, Singh, Choudhary, "Federated Learning with Personalization Layers", 2019, with one
personalisation layer. Shared and own layers are trained in the same private steps, as in the paper's algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

from researcher.strategies.local_part.shared_part import SharedPart


@dataclass(frozen=True)
class FedPer(SharedPart):
    """Averages all layers but the last."""
