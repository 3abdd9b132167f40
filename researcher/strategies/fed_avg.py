"""Federated averaging. Works on client updates that a hospital already released, so it costs no privacy.

McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017; with server momentum as FedAvgM: Hsu, Qi, Brown, "Measuring the Effects of
Non-Identical Data Distribution for Federated Visual Classification", 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from policies import validate
from policies.contracts.weights import is_finite
from policies.errors import InputRefused
from researcher.strategies.averager import Averager, add_scaled
from researcher.strategies.state import AVERAGE, ClientUpdate, ServerState, Weights

_MOMENTUM = "momentum"
_FIRST_ROUNDS = 10  # in which the average follows faster


@dataclass(frozen=True)
class FedAvg:
    """Moves the global weights by the mean update, each datasite weighted by its public size.

    With mean update d: velocity = server_momentum · velocity + d; weights += server_learning_rate · velocity.

    With `server_averaging`, the model that is evaluated and given away is the moving average of these weights, while
    the hospitals go on from the weights themselves. The mean over noisy steps has less noise than the last of them
    (Polyak and Juditsky, 1992; for private training De et al., "Unlocking High-Accuracy Differentially Private Image
    Classification through Scale", 2022).

    Attributes:
        server_learning_rate: Factor on the mean update; 1 is plain federated averaging.
        server_momentum: Share of the last velocity that is kept, in [0, 1); 0 is plain federated averaging.
        server_averaging: Share of the last average that is kept, in [0, 1), at most (1 + t) / (10 + t) in round t, so
            that the first weights are soon forgotten; 0 averages nothing.
    """

    server_learning_rate: float = 1.0
    server_momentum: float = 0.0
    server_averaging: float = 0.0

    def __post_init__(self) -> None:
        validate.number("server_learning_rate", self.server_learning_rate, low=0, high=1e4, open_low=True)
        validate.number("server_momentum", self.server_momentum, low=0, high=1, open_high=True)
        validate.number("server_averaging", self.server_averaging, low=0, high=1, open_high=True)

    def init(self, weights: Mapping[str, np.ndarray]) -> ServerState:
        """Returns the state before the first round: `weights` copied to float32, velocity zero.

        Args:
            weights: Name → array, each of its parameter's shape.
        """
        return ServerState({name: np.array(array, dtype=np.float32) for name, array in weights.items()})

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round; `state` itself stays as it is.

        Args:
            state: The state that the updates started from.
            updates: At least one, each of another datasite; an iterator is read one at a time.

        Raises:
            InputRefused: An update does not fit the global model, or the new weights overflow float32.
            NotEnoughDatasites: There was no update.
        """
        averager = Averager(state.weights)
        for update in updates:
            averager.add(update)
        step = averager.result()
        del averager  # of a large model the sums and all that follows would not fit beside each other
        slots: dict[str, Weights] = {}
        if self.server_momentum:
            for name, last in state.slots.get(_MOMENTUM, {}).items():
                add_scaled(step[name], [(last, self.server_momentum)])
            slots = {_MOMENTUM: {name: _to_float32(name, array) for name, array in step.items()}}
        weights = {}
        for name, array in state.weights.items():
            moved = step.pop(name)
            moved *= self.server_learning_rate
            moved += array
            weights[name] = _to_float32(name, moved)
        if self.server_averaging:
            slots[AVERAGE] = self._averaged(state, weights)
        return ServerState(weights, state.round + 1, slots)

    def _averaged(self, state: ServerState, weights: Weights) -> Weights:
        kept = min(self.server_averaging, (1 + state.round) / (_FIRST_ROUNDS + state.round))
        last = state.slots.get(AVERAGE, state.weights)
        average = {}
        for name, array in weights.items():
            mean = np.asarray(np.multiply(last[name], kept, dtype=np.float64))
            add_scaled(mean, [(array, 1 - kept)])
            average[name] = _to_float32(name, mean)
        return average


def _to_float32(name: str, array: np.ndarray) -> np.ndarray:
    """Rounds to float32; refuses what overflows it."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(array, dtype=np.float32)
    if not is_finite(rounded):
        raise InputRefused(f"The new global weights {name!r} overflow float32. Lower the learning rate and resume.")
    return rounded
