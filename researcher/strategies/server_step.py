"""The part that most strategies share: from one round's direction to the next global weights, at no cost of privacy.

Server momentum is FedAvgM's: Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated
Visual Classification", 2019. The average over rounds is that of Polyak and Juditsky, 1992; for private training De et
al., "Unlocking High-Accuracy Differentially Private Image Classification through Scale", 2022.
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

MOMENTUM = "momentum"
_FIRST_ROUNDS = 10  # in which the average follows faster


@dataclass(frozen=True)
class ServerStep:
    """Moves the global weights by what `direction` makes of a round's client updates; here, by their weighted mean.

    With direction d: velocity = server_momentum · velocity + d; weights += server_learning_rate · velocity.

    With `server_averaging`, the model that is evaluated and given away is the moving average of these weights, while
    the hospitals go on from the weights themselves. The mean over noisy steps has less noise than the last of them.

    Attributes:
        server_learning_rate: Factor on the velocity; 1 takes it as it is.
        server_momentum: Share of the last velocity that is kept, in [0, 1).
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

    @property
    def least_updates(self) -> int:
        """Number of client updates without which no round can end."""
        return 1

    def init(self, weights: Mapping[str, np.ndarray]) -> ServerState:
        """Returns the state before the first round: `weights` copied to float32, nothing remembered.

        Args:
            weights: Name → array, each of its parameter's shape.
        """
        return ServerState({name: np.array(array, dtype=np.float32) for name, array in weights.items()})

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round; `state` itself stays as it is.

        Args:
            state: The state that the updates started from.
            updates: Each of another datasite, at least `least_updates`; an iterator is read one at a time.

        Raises:
            InputRefused: An update does not fit the global model, or the new weights overflow float32.
            NotEnoughDatasites: There were fewer updates.
        """
        step, slots = self.step(state, self.direction(state, updates))
        weights = {}
        for name, array in state.weights.items():
            moved = step.pop(name)
            moved *= self.server_learning_rate
            moved += array
            weights[name] = to_float32(name, moved)
        if self.server_averaging:
            slots[AVERAGE] = self._averaged(state, weights)
        return ServerState(weights, state.round + 1, slots)

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """What the client updates of one round come to, name → float64 array: their mean, weighted by public size.

        Args:
            state: As of `apply`.
            updates: Likewise.
        """
        averager = Averager(state.weights)
        for update in updates:
            averager.add(update)
        return averager.result()

    def step(self, state: ServerState, direction: Weights) -> tuple[Weights, dict[str, Weights]]:
        """The way that the weights go at learning rate 1, and what is remembered of it; here, with momentum.

        Args:
            state: As of `apply`.
            direction: What `direction` returned; its arrays are used up.

        Returns:
            Name → float64 array, and the slots of the next state.
        """
        if not self.server_momentum:
            return direction, {}
        for name, last in state.slots.get(MOMENTUM, {}).items():
            add_scaled(direction[name], [(last, self.server_momentum)])
        return direction, {MOMENTUM: {name: to_float32(name, array) for name, array in direction.items()}}

    def _averaged(self, state: ServerState, weights: Weights) -> Weights:
        kept = min(self.server_averaging, (1 + state.round) / (_FIRST_ROUNDS + state.round))
        last = state.slots.get(AVERAGE, state.weights)
        average = {}
        for name, array in weights.items():
            mean = np.asarray(np.multiply(last[name], kept, dtype=np.float64))
            add_scaled(mean, [(array, 1 - kept)])
            average[name] = to_float32(name, mean)
        return average


def to_float32(name: str, array: np.ndarray) -> np.ndarray:
    """Rounds to float32.

    Args:
        name: Of the parameter, for the refusal.
        array: Of any shape, which stays.

    Raises:
        InputRefused: A value overflows it.
    """
    with np.errstate(over="ignore"):
        rounded = np.asarray(array, dtype=np.float32)
    if not is_finite(rounded):
        raise InputRefused(f"The new global weights {name!r} overflow float32. Lower the learning rate and resume.")
    return rounded
