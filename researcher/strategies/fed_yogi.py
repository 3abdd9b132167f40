"""FedYogi: Reddi et al., "Adaptive Federated Optimization", ICLR 2021, after Zaheer et al.'s Yogi, NeurIPS 2018."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from researcher.strategies.adaptive import Decaying


@dataclass(frozen=True)
class FedYogi(Decaying):
    """Moves each weight by its mean update over the root of an average of its squares that changes by little."""

    def mean_square(self, last: np.ndarray, square: np.ndarray) -> np.ndarray:
        """v = v - (1 - server_second_momentum) · d² · sign(v - d²).

        Args:
            last: v of the round before, of a parameter's shape, or () before the first.
            square: d², of the parameter's shape.
        """
        before = last.astype(np.float64)
        return before - (1 - self.server_second_momentum) * square * np.sign(before - square)
