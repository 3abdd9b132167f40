"""Areas under curves, by ranks. Exact on public pictures; on private ones every number is a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDING = 1e-12


class Ranking:
    """Pictures that have something and pictures that have it not, in the order of their scores; equal scores are one.

    The order is found once, so that weighing pictures anew, as a bootstrap does, sorts nothing.

    Args:
        present: bool, (N,), which pictures have it.
        scores: float64, (N,), higher where it is likelier.
    """

    def __init__(self, present: np.ndarray, scores: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        falling = scores[self._order]
        self._present = present[self._order].astype(np.float64)
        self._starts = np.flatnonzero(
            np.concatenate([np.ones(min(len(falling), 1), bool), falling[1:] != falling[:-1]])
        )

    @property
    def steps(self) -> int:
        """How many different scores there are."""
        return len(self._starts)

    def weighed(self, weights: np.ndarray | None = None) -> Weighed:
        """The pictures as often as each counts.

        Args:
            weights: float64, (B, N), in each of B draws; once, in one, if None.
        """
        if not self.steps:
            nothing = np.zeros((1 if weights is None else len(weights), 0))
            return Weighed(nothing, nothing)
        each = np.ones((1, len(self._order))) if weights is None else weights[:, self._order]
        having = np.add.reduceat(each * self._present, self._starts, axis=1)
        return Weighed(having, np.add.reduceat(each, self._starts, axis=1) - having)

    def roc(self) -> np.ndarray:
        """The curve's corners, float64, (steps + 1, 2): false alarm rate and sensitivity, from (0, 0) to (1, 1).

        Rates of a kind that no picture is of are 0.
        """
        once = self.weighed()
        totals = [np.cumsum(counts[0]) for counts in (once.lacking, once.having)]
        rates = [counts / max(float(counts[-1]), 1.0) if len(counts) else counts for counts in totals]
        return np.stack([np.concatenate([[0.0], one]) for one in rates], axis=1)


@dataclass(frozen=True, eq=False)
class Weighed:
    """How many pictures have something, and how many lack it, at each score from the highest down.

    Attributes:
        having: float64, (B, steps), in each of B draws.
        lacking: float64, (B, steps).
    """

    having: np.ndarray
    lacking: np.ndarray

    def auroc(self) -> np.ndarray:
        """The area under the ROC curve, ties at their middle (Mann and Whitney, 1947): float64, (B,).

        It is nan in a draw without a picture of either kind.
        """
        above = np.cumsum(self.having, axis=1) - self.having
        pairs = self.having.sum(axis=1) * self.lacking.sum(axis=1)
        return _ratio((self.lacking * (above + self.having / 2)).sum(axis=1), pairs)

    def average_precision(self) -> np.ndarray:
        """The sum over scores, from the highest down, of the recall gained there times the precision: float64, (B,).

        It is nan in a draw without a picture that has it.
        """
        told = np.cumsum(self.having + self.lacking, axis=1)
        precision = np.divide(np.cumsum(self.having, axis=1), told, out=np.zeros_like(told), where=told > 0)
        return _ratio((self.having * precision).sum(axis=1), self.having.sum(axis=1))

    def sensitivities_at(self, specificities: Sequence[float]) -> list[np.ndarray]:
        """The largest sensitivity of a threshold that has at least each specificity: float64, (B,).

        It is nan in a draw without a picture of either kind.

        Args:
            specificities: From 0 to 1.
        """
        alarms = _ratio(np.cumsum(self.lacking, axis=1), self.lacking.sum(axis=1, keepdims=True))
        hits, having = np.cumsum(self.having, axis=1), self.having.sum(axis=1)
        found = []
        for specificity in specificities:
            allowed = alarms <= 1 - specificity + _ROUNDING  # nowhere where nothing lacks it: no number compares so
            best = np.where(allowed, hits, 0.0).max(axis=1, initial=0.0)
            found.append(np.where(self.lacking.sum(axis=1) > 0, _ratio(best, having), np.nan))
        return found


def known(value: np.ndarray) -> float | None:
    """The value of the one draw, (1,); None where it is nan."""
    return None if np.isnan(value[0]) else float(value[0])


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    wholes = np.broadcast_to(wholes, parts.shape)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
