"""DP-FC: steps of a linear head, preconditioned by its features' covariance. Both were released with noise before.

Mehta, Krichene, Thakurta, Kurakin, Cutkosky, "Differentially Private Image Classification from Features", TMLR 2023
(arXiv 2211.13403). A head has many features that say nearly the same, and few noisy steps cannot tell them apart; the
inverse of the features' noised Gram matrix makes all directions alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from policies import validate
from policies.errors import ConfigError
from researcher.strategies.feature_gram import FeatureGram
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import ClientUpdate, ServerState, Weights

WEIGHT, BIAS = "head.weight", "head.bias"
NO_GRAM = (
    "Strategy dp_fc, which is that of recipe few_rounds, steps by the Gram matrix of the hospitals' features, and has "
    "none. Ask for it with 'python -m researcher gram', and give its folder with --gram."
)


@dataclass(frozen=True)
class DpFc(ServerStep):
    """Moves a head by the mean client update times `FeatureGram.preconditioner`: [W b] += rate [dW db] P.

    Attributes:
        server_ridge: Added to the Gram matrix's eigenvalues.
        gram: The hospitals' noised Gram matrix; without it no round can end.
    """

    server_ridge: float = 1.0
    gram: FeatureGram | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.number("server_ridge", self.server_ridge, low=0, high=1e9, open_low=True)

    @property
    def lacks(self) -> str:
        """What is missing before the first round, and what to do; empty where nothing is."""
        return NO_GRAM if self.gram is None else ""

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """The mean client update of the head, preconditioned.

        Args:
            state: As of `apply`.
            updates: Likewise.

        Raises:
            ConfigError: There is no Gram matrix, or it is of another head.
        """
        if self.gram is None:
            raise ConfigError(self.lacks)
        shapes = {name: array.shape for name, array in state.weights.items()}
        inputs = len(self.gram.matrix) - 1
        if set(shapes) != {WEIGHT, BIAS} or shapes[WEIGHT][1:] != (inputs,):
            raise ConfigError(
                f"The Gram matrix is of a linear head with {inputs} inputs, the model is another. Ask for that of the "
                "study's model."
            )
        mean = super().direction(state, updates)
        step = np.concatenate([mean[WEIGHT], mean[BIAS][:, None]], axis=1) @ self._preconditioner
        return {WEIGHT: np.ascontiguousarray(step[:, :-1]), BIAS: np.ascontiguousarray(step[:, -1])}

    @cached_property
    def _preconditioner(self) -> np.ndarray:
        return self.gram.preconditioner(self.server_ridge) if self.gram else np.zeros((0, 0))
