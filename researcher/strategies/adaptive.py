"""Server optimisers that divide each weight's step by the root mean square of its steps so far.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan, "Adaptive Federated Optimization", ICLR 2021, their
algorithm 2. Mean squares begin at zero, and nothing is corrected for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies import validate
from researcher.strategies.averager import add_scaled
from researcher.strategies.server_step import MOMENTUM, ServerStep, to_float32
from researcher.strategies.state import ServerState, Weights

_MEAN_SQUARE = "mean_square"


@dataclass(frozen=True)
class Adaptive(ServerStep):
    """Moves each weight by its mean update over the root of the mean square of its mean updates.

    With mean update d: m = server_momentum · m + (1 - server_momentum) · d; v as the strategy says; weights +=
    server_learning_rate · m / (√v + server_adaptivity).

    Attributes:
        server_adaptivity: What is added to √v, in the units of an update; the paper's tau.
    """

    server_adaptivity: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.number("server_adaptivity", self.server_adaptivity, low=0, high=1e3, open_low=True)

    def mean_square(self, last: np.ndarray, square: np.ndarray) -> np.ndarray:
        """The mean square v after a round, float64 of the parameter's shape.

        Args:
            last: v of the round before, of a parameter's shape; zero, of shape (), before the first.
            square: d², of the parameter's shape; may be overwritten.
        """
        raise NotImplementedError

    def step(self, state: ServerState, direction: Weights) -> tuple[Weights, dict[str, Weights]]:
        """The way that the weights go at learning rate 1, and what is remembered, both means rounded to float32.

        Args:
            state: As of `apply`.
            direction: The mean update; its arrays are used up.
        """
        squares, momentum = {}, {}
        for name, step in direction.items():
            last = state.slots[_MEAN_SQUARE][name] if _MEAN_SQUARE in state.slots else np.zeros((), np.float32)
            mean_square = self.mean_square(last, np.square(step))
            squares[name] = to_float32(name, mean_square)
            if self.server_momentum:
                step *= 1 - self.server_momentum
                if MOMENTUM in state.slots:
                    add_scaled(step, [(state.slots[MOMENTUM][name], self.server_momentum)])
                momentum[name] = to_float32(name, step)
            step /= np.sqrt(mean_square) + self.server_adaptivity
        return direction, {_MEAN_SQUARE: squares, **({MOMENTUM: momentum} if momentum else {})}


@dataclass(frozen=True)
class Decaying(Adaptive):
    """An adaptive strategy that forgets old squares.

    Attributes:
        server_second_momentum: Share of the last mean square that is kept, in [0, 1); the paper's beta 2.
    """

    server_second_momentum: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.number("server_second_momentum", self.server_second_momentum, low=0, high=1, open_high=True)
