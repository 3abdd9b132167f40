"""One finding of an audit and how far it may lie from what a sound trainer gives. Plain statistics on numbers.

Most findings are standard normal values where training is sound. How large one may be follows from how many there are:
all of them together raise a false alarm in fewer than one audit of ten thousand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

FALSE_ALARM = 1e-4  # in all, for a sound trainer
_MOST_CHECKS = 40  # that an audit makes; each gets the same share of false alarms
_LARGEST = 999.0  # a finding beyond this is given as this


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        value: What was found: the worst of several standard normal values, say.
        allowed: The largest that passes, in either direction.
    """

    name: str
    value: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the finding passes; what is no number does not."""
        return abs(self.value) <= self.allowed


def worst(name: str, values: Iterable[float]) -> Check:
    """The worst of some values that are standard normal where training is sound.

    Args:
        name: What they tell of.
        values: Their number must not depend on what was found.
    """
    found = np.nan_to_num(np.asarray(list(values), dtype=np.float64), nan=_LARGEST, posinf=_LARGEST, neginf=-_LARGEST)
    allowed = NormalDist().inv_cdf(1 - FALSE_ALARM / _MOST_CHECKS / 2 / len(found))
    largest = float(found[np.argmax(np.abs(found))])
    return Check(name, max(-_LARGEST, min(_LARGEST, largest)), allowed)


def at_most(name: str, values: Iterable[float], allowed: float) -> Check:
    """The largest of some values; what is no number counts as the largest there is."""
    largest = max(_LARGEST if math.isnan(value) else min(value, _LARGEST) for value in values)
    return Check(name, largest, allowed)


def spread_z(square_sum: float, count: int) -> float:
    """How far a sum of squares of standard normal values lies from its mean (Wilson and Hilferty, 1931).

    Args:
        square_sum: The sum; chi-squared with `count` degrees of freedom where the values are standard normal.
        count: How many there are.

    Returns:
        Near a standard normal value; negative when the squares are too small.
    """
    variance = 2 / (9 * count)
    return (math.cbrt(square_sum / count) - (1 - variance)) / math.sqrt(variance)


def kurtosis_z(values: np.ndarray) -> float:
    """How far the shape of some values lies from the normal one, negative for shapes with too little in the tails.

    Args:
        values: float, (n,), around 0; n in the thousands.
    """
    squares = np.square(values)
    spread = float(squares.mean())
    return (float(np.square(squares).mean()) / spread**2 - 3) / math.sqrt(24 / len(values)) if spread else 0.0


def correlation_z(first: np.ndarray, second: np.ndarray) -> float:
    """How far two rows of normal values around 0 are from being independent (Fisher's transformation).

    Args:
        first: float, (n,), n at least 30.
        second: float, (n,).

    Returns:
        0 where one of the rows is constant: its spread tells that.
    """
    lengths = math.sqrt(float(first @ first)) * math.sqrt(float(second @ second))
    share = float(first @ second) / lengths if lengths else 0.0
    return math.atanh(max(-1 + 1e-15, min(1 - 1e-15, share))) * math.sqrt(len(first) - 1)


def count_z(count: float, tries: int, chance: float) -> float:
    """How far a number of successes lies from its mean, in standard deviations.

    Args:
        count: Successes.
        tries: Independent tries.
        chance: Of success in each.
    """
    return (count - tries * chance) / math.sqrt(tries * chance * (1 - chance))
