"""FedAdagrad: Reddi et al., "Adaptive Federated Optimization", ICLR 2021, after Duchi, Hazan and Singer, 2011."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.errors import PlanError
from researcher.strategies.adaptive import Adaptive


@dataclass(frozen=True)
class FedAdagrad(Adaptive):
    """Moves each weight by its mean update over the root of the sum of its squares so far; keeps no momentum."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.server_momentum:
            raise PlanError(f"server_momentum is {self.server_momentum:g}, fed_adagrad keeps none. Set it to 0.")

    def mean_square(self, last: np.ndarray, square: np.ndarray) -> np.ndarray:
        """v = v + d².

        Args:
            last: v of the round before, of a parameter's shape, or () before the first.
            square: d², of the parameter's shape.
        """
        square += last
        return square
