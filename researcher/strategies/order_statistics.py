"""Robust means of each weight by itself: a hospital whose update is far off moves the model little.

Yin, Chen, Ramchandran, Bartlett, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML
2018. Works on released client updates, so it costs no privacy; public sizes do not count, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from policies import validate
from researcher.strategies.kept_updates import KeptUpdates
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import ClientUpdate, ServerState, Weights


@dataclass(frozen=True)
class TrimmedMean(ServerStep):
    """Moves each weight by the mean of its updates without the largest and the smallest.

    Attributes:
        trimmed_share: Share of the updates that is left out at either end, below 0.5, rounded down to whole updates:
            with 0.1, nothing is left out of nine hospitals, and two of ten.
    """

    trimmed_share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.number("trimmed_share", self.trimmed_share, low=0, high=0.5, open_high=True)

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """The trimmed mean, name → float64 array.

        Args:
            state: As of `apply`.
            updates: Likewise.
        """
        with KeptUpdates(state.weights, updates) as kept:
            number = len(kept)
            left_out = int(self.trimmed_share * number + 1e-9)  # a share such as 0.1 is a little above or below a tenth
            means = kept.empty()
            for part, values in kept.pieces():
                values.partition((left_out, number - left_out - 1), axis=0)
                means[part] = values[left_out : number - left_out].mean(axis=0, dtype=np.float64)
            return kept.shaped(means)


@dataclass(frozen=True)
class CoordinateMedian(ServerStep):
    """Moves each weight by the median of its updates; of an even number, by the mean of the two in the middle."""

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """The median of each weight, name → float64 array.

        Args:
            state: As of `apply`.
            updates: Likewise.
        """
        with KeptUpdates(state.weights, updates) as kept:
            medians = kept.empty()
            lower, upper = (len(kept) - 1) // 2, len(kept) // 2
            for part, values in kept.pieces():
                values.partition((lower, upper), axis=0)
                medians[part] = values[lower : upper + 1].mean(axis=0, dtype=np.float64)
            return kept.shaped(medians)
