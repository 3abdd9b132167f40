"""SCAFFOLD: each hospital's steps are corrected by how its gradients differ from the others', as its updates told.

Karimireddy, Kale, Mohri, Reddi, Stich, Suresh, "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML
2020, with option II for the control variates: they follow from released updates alone, so they cost no privacy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from policies.errors import InputRefused
from researcher.strategies.per_hospital.kept_weights import KeptWeights, needed
from researcher.strategies.server_step import ServerStep, to_float32
from researcher.strategies.state import ClientUpdate, ServerState, Weights

CONTROL = "control"  # the slot of the mean control variate, c


@dataclass(frozen=True)
class Scaffold(ServerStep):
    """Moves the global weights as FedAvg does, and keeps what each hospital's local steps are to be corrected by.

    With x the global weights of a round, y_i a hospital's, and r the sum of the learning rates of its steps (K · lr at
    one learning rate): c_i := c_i - c + (x - y_i) / r, and c is the mean of all c_i, weighted by public size as the
    updates are, so that the corrections c - c_i cancel in the mean. A hospital that has released nothing yet has no
    c_i: its correction is zero, and the first c_i is (x - y_i) / r. A late update moves the model alone: c was another
    when it was trained. One that has left for good has no c_i any more: c is the mean of those that are left, else it
    would pull them to where the one that left would go, for ever.
    """

    def sent(self, state: ServerState, datasite: str) -> tuple[Weights, Weights]:
        """The global weights, and the correction c - c_i that a hospital adds to its gradients: name → array.

        Args:
            state: At the round's beginning.
            datasite: Name of the hospital.
        """
        mine = needed(state.kept).read(datasite)
        if mine is None or CONTROL not in state.slots:
            return state.weights, {name: np.zeros_like(array) for name, array in state.weights.items()}
        control = state.slots[CONTROL]
        correction = {name: to_float32(f"correction {name}", np.subtract(control[name], mine[name])) for name in mine}
        return state.weights, correction

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round; `state` itself stays as it is, and so do its files.

        Args:
            state: As of `ServerStep.apply`, with a place to keep weights.
            updates: Likewise; each tells the sum of its learning rates.

        Raises:
            InputRefused, NotEnoughDatasites: As `ServerStep.apply`.
            ConfigError: The state has no place to keep weights, or it cannot be read or written.
        """
        kept = [needed(state.kept)]

        def followed() -> Iterator[ClientUpdate]:
            for update in updates:
                yield update  # who takes it checks it
                kept.append(self._followed(kept.pop(), state, update))

        after = super().apply(state, followed())
        return _with_mean(after, kept[0])

    def without(self, state: ServerState, datasites: Collection[str]) -> ServerState:
        """The state once hospitals have left for good; where nothing is kept of them, as it is.

        Args:
            state: After a round.
            datasites: Names of all that have left.

        Raises:
            ConfigError: As `apply`.
        """
        kept = needed(state.kept)
        return _with_mean(state, kept.without(datasites)) if set(datasites) & set(kept.hospitals) else state

    def _followed(self, kept: KeptWeights, state: ServerState, update: ClientUpdate) -> KeptWeights:
        """What is kept after one more update."""
        if update.staleness:
            return kept
        if not update.summed_rates > 0:
            raise InputRefused(
                f"The client update of {update.datasite!r} needs the sum of its learning rates, got "
                f"{update.summed_rates!r}."
            )
        _, corrected = self.sent(state, update.datasite)
        control = {}
        for name, array in update.update.items():
            mean_gradient = np.asarray(array, np.float64) / -update.summed_rates
            control[name] = to_float32(f"control {name}", mean_gradient - corrected[name])
        return kept.with_one(update.datasite, control, public_size=update.weight)


def _with_mean(state: ServerState, kept: KeptWeights) -> ServerState:
    """The state with these control variates and their mean; without any, the mean stays as it was."""
    mean = {name: to_float32(f"control {name}", array) for name, array in kept.mean().items()}
    return replace(state, kept=kept, slots={**state.slots, **({CONTROL: mean} if mean else {})})
