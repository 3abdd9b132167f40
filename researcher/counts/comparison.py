"""Differences between hospitals, from intervals of what each released. No private row comes here.

The interval of a difference is put together from those of its two sides, as Zou and Donner do ("Construction of
confidence limits about effect measures", Statistics in Medicine, 2008) after Newcombe (1998): each side's distance to
its own limit, squared and added. So it holds what the sides' intervals hold: other pictures of the same kind, and the
hospitals' noise. Of several pairs all intervals hold together (Bonferroni), since whoever looks for the largest
difference among many finds one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from policies.errors import DataError
from researcher.counts.intervals import Interval

AtLevel = Callable[[float], Mapping[str, Interval]]


@dataclass(frozen=True)
class Difference:
    """The same number at two hospitals.

    Attributes:
        first: The hospital with the larger estimate.
        second: The other one.
        interval: First less second, in [-1, 1].
    """

    first: str
    second: str
    interval: Interval

    @property
    def told_apart(self) -> bool:
        """Whether two hospitals that are alike would seldom differ as much."""
        return not self.interval.low <= 0 <= self.interval.high


def differences(shares: AtLevel, *, level: float = 0.95) -> tuple[Difference, ...]:
    """Every two hospitals' difference, the largest first.

    Guarantees:
        All intervals together hold the true differences with probability `level`, where each hospital's own intervals
        hold the truth with the probability that they are asked for. So hospitals that are all alike are told apart,
        any two of them, with a probability of at most 1 - `level`.

    Args:
        shares: Hospital → interval of its share, in [0, 1], at a level that is given.
        level: Probability, between 0 and 1.

    Raises:
        DataError: `level` is out of range.
    """
    if not 0 < level < 1:
        raise DataError(f"level must be between 0 and 1, got {level!r}.")
    names = list(shares(level))
    pairs = list(combinations(names, 2))
    if not pairs:
        return ()
    found = shares(1 - (1 - level) / len(pairs))
    ordered = [sorted(pair, key=lambda name: -found[name].value) for pair in pairs]
    told = [Difference(first, second, _difference(found[first], found[second])) for first, second in ordered]
    return tuple(sorted(told, key=lambda one: -one.interval.value))


def _difference(first: Interval, second: Interval) -> Interval:
    value = first.value - second.value
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(low, -1.0), min(high, 1.0))
