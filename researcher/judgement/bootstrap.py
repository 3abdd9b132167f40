"""Intervals by drawing patients, or pictures where patients are not known, again and again. Public pictures only.

The percentile bootstrap (Efron, 1979) over whole patients. Where every draw says the same, as of a perfect score, the
interval reaches as far as the exact one of Clopper and Pearson (1934) for as few patients as the score rests on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from researcher.counts.intervals import Interval
from researcher.judgement.measures import Key, Measures

LEVEL = 0.95
_AT_ONCE = 2_000_000  # numbers
LEAST_DRAWS, MOST_DRAWS = 20, 100_000
_LOWEST = {"cohen_kappa": -1.0}
_HIGHEST = {"brier": 2.0}


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn.

    Attributes:
        draws: How often.
        seed: Of the draws: the same pictures and seed give the same intervals.
    """

    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not LEAST_DRAWS <= self.draws <= MOST_DRAWS:
            raise DataError(f"draws must be from {LEAST_DRAWS} to {MOST_DRAWS:,}, got {self.draws}.")
        if self.seed < 0:
            raise DataError(f"seed must be 0 or more, got {self.seed}.")

    def weights(self, units: np.ndarray) -> Iterator[np.ndarray]:
        """How often each picture counts in each draw: float64, (some draws, N), until all are drawn.

        Args:
            units: int64, (N,), whose each picture is; numbers from 0 without a gap.
        """
        count = int(units.max()) + 1
        random = np.random.default_rng(self.seed)
        at_once = max(1, _AT_ONCE // len(units))
        for start in range(0, self.draws, at_once):
            draws = [random.integers(0, count, count) for _ in range(min(at_once, self.draws - start))]
            yield np.stack([np.bincount(draw, minlength=count)[units] for draw in draws]).astype(np.float64)

    def intervals(self, measures: Measures, units: np.ndarray) -> dict[Key, Interval | None]:
        """Each score with its interval; None where nothing can be said of one.

        Args:
            measures: The scores.
            units: int64, (N,), as of `weights`.
        """
        drawn = [measures.scores(weights) for weights in self.weights(units)]
        found: dict[Key, Interval | None] = {}
        for key, (value,) in measures.scores().items():
            if math.isnan(value):
                found[key] = None
                continue
            behind = min(len(np.unique(units[rows])) for rows in measures.resting_on(key))
            found[key] = _interval(key[0], float(value), np.concatenate([one[key] for one in drawn]), behind)
        return found


def middle(value: float, drawn: np.ndarray) -> Interval:
    """The interval that holds the middle 95 of 100 draws, (draws,), and the value; nan among them are left out."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if known.size else (value, value)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def _interval(name: str, value: float, drawn: np.ndarray, units: int) -> Interval:
    lowest, highest = _LOWEST.get(name, 0.0), _HIGHEST.get(name, 1.0)
    if units < 2:
        return Interval(value, lowest, highest)
    found = middle(value, drawn)
    if found.low < found.high or value not in (0.0, 1.0):
        return found
    missed = 1 - ((1 - LEVEL) / 2) ** (1 / units)
    return Interval(value, 1 - missed, 1.0) if value else Interval(value, 0.0, missed)
