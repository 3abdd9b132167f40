"""FedAdam: Reddi et al., "Adaptive Federated Optimization", ICLR 2021, after Kingma and Ba's Adam, 2015.

As in that paper nothing corrects the means for their beginning at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from researcher.strategies.adaptive import Decaying


@dataclass(frozen=True)
class FedAdam(Decaying):
    """Moves each weight by its mean update over the root of the moving average of its squares."""

    def mean_square(self, last: np.ndarray, square: np.ndarray) -> np.ndarray:
        """v = server_second_momentum · v + (1 - server_second_momentum) · d².

        Args:
            last: v of the round before, of a parameter's shape, or () before the first.
            square: d², of the parameter's shape.
        """
        square *= 1 - self.server_second_momentum
        square += self.server_second_momentum * last.astype(np.float64)
        return square
