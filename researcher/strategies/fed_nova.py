"""FedNova: averaging that does not favour hospitals which take more steps. Post-processing of released updates.

Wang, Liu, Liang, Joshi, Poor, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
NeurIPS 2020, with plain SGD at the hospitals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from researcher.strategies.averager import Averager
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import ClientUpdate, ServerState, Weights


@dataclass(frozen=True)
class FedNova(ServerStep):
    """Averages client updates for each local step, then goes as many steps as hospitals took on average.

    With public sizes as shares p, updates u and steps s: direction = (Σ p·s) · Σ p·u/s. Where all hospitals take the
    same number of steps, as one plan makes them, that is the mean of FedAvg.
    """

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """The mean update of a local step, times the mean number of steps, name → float64 array.

        Args:
            state: As of `apply`.
            updates: Likewise.
        """
        averager, sizes, done, share = Averager(state.weights), 0.0, 0.0, 0.0
        for update in updates:
            averager.add(replace(update, weight=update.weight / update.steps))
            sizes, done = sizes + update.weight, done + update.weight * update.steps
            share += update.weight / update.steps
        mean = averager.result()
        factor = (share / sizes) * (done / sizes)
        for array in mean.values():
            array *= factor
        return mean
