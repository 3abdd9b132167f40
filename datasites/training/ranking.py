"""Areas under curves, by ranks. Exact on public pictures; on private ones every number is a release."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-12


class Ranking:
    """Pictures that have something and pictures that have it not, in the order of their scores; equal scores are one.

    The order is found once, so that weighing pictures anew, as a bootstrap does, sorts nothing. Weights are float64,
    (B, N): how often each picture counts in each of B draws; once if None, which is one draw.

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

    def auroc(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The area under the ROC curve, ties at their middle (Mann and Whitney, 1947): float64, (B,).

        Args:
            weights: float64, (B, N), or None.

        Returns:
            nan in a draw without a picture of either kind.
        """
        having, lacking = self._counts(weights)
        above = np.cumsum(having, axis=1) - having
        pairs = having.sum(axis=1) * lacking.sum(axis=1)
        return _ratio((lacking * (above + having / 2)).sum(axis=1), pairs)

    def average_precision(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The sum over scores, from the highest down, of the recall gained there times the precision: float64, (B,).

        Args:
            weights: float64, (B, N), or None.

        Returns:
            nan in a draw without a picture that has it.
        """
        having, lacking = self._counts(weights)
        told = np.cumsum(having + lacking, axis=1)
        precision = np.divide(np.cumsum(having, axis=1), told, out=np.zeros_like(told), where=told > 0)
        return _ratio((having * precision).sum(axis=1), having.sum(axis=1))

    def sensitivity_at(self, specificity: float, weights: np.ndarray | None = None) -> np.ndarray:
        """The largest sensitivity of a threshold that has at least this specificity: float64, (B,).

        Args:
            specificity: From 0 to 1.
            weights: float64, (B, N), or None.

        Returns:
            nan in a draw without a picture of either kind.
        """
        having, lacking = self._counts(weights)
        alarms = _ratio(np.cumsum(lacking, axis=1), lacking.sum(axis=1, keepdims=True))
        allowed = alarms <= 1 - specificity + _ROUNDING  # nowhere where nothing lacks it: no number compares so
        hits = np.where(allowed, np.cumsum(having, axis=1), 0.0).max(axis=1, initial=0.0)
        return np.where(lacking.sum(axis=1) > 0, _ratio(hits, having.sum(axis=1)), np.nan)

    def roc(self) -> np.ndarray:
        """The curve's corners, float64, (steps + 1, 2): false alarm rate and sensitivity, from (0, 0) to (1, 1).

        Rates of a kind that no picture is of are 0.
        """
        having, lacking = (np.cumsum(counts[0]) for counts in self._counts(None))
        rates = [counts / max(float(counts[-1]), 1.0) if len(counts) else counts for counts in (lacking, having)]
        return np.stack([np.concatenate([[0.0], one]) for one in rates], axis=1)

    def _counts(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """At each score, from the highest, how many pictures have it and how many lack it: float64, (B, steps)."""
        if not self.steps:
            nothing = np.zeros((1 if weights is None else len(weights), 0))
            return nothing, nothing
        each = np.ones((1, len(self._order))) if weights is None else weights[:, self._order]
        having = np.add.reduceat(each * self._present, self._starts, axis=1)
        return having, np.add.reduceat(each, self._starts, axis=1) - having


def known(value: np.ndarray) -> float | None:
    """The value of the one draw, (1,); None where it is nan."""
    return None if np.isnan(value[0]) else float(value[0])


def _ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    wholes = np.broadcast_to(wholes, parts.shape)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
