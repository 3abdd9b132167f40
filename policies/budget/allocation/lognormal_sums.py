"""Sums of lognormal numbers on a grid of logarithms, spread out and never narrowed. Sees nothing of the data.

An epoch of t steps over which a unit is allocated releases, without the unit, noise alone. With it, every release has
its probability times the mean of Y_1 .. Y_t, where Y_i = exp((x_i - 1/2) / sigma^2) and x_i is step i's noise:
lognormal numbers with mean 1 (Chua et al., "Balls-and-Bins Sampling for DP-SGD", AISTATS 2025; Feldman and Shenfeld,
"Privacy Amplification by Random Allocation", arXiv 2502.08202). So the hockey-stick divergences of both directions are
the means of convex functions of their sum.

Here each Y is made discrete by giving what lies between two points of the grid to both, so that its mean stays; sums
likewise. Such a change never lowers the mean of a convex function. So divergences read from it are never too small,
however coarse the grid, and what they are too large falls with the square of its spacing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policies.budget.library_files import special

# Of the grid, in standard deviations of the log of Y, over the root of the number of steps.
_SPACING = 0.03
# Of the log of Y, in standard deviations: what lies beyond has a chance of some 1e-21.
_REACH = 9.5
# Chance of what is cut off at either end of a sum, and given to 0 and to infinity.
_CUT = 1e-21
# Most that rounding may take from a sum's probability, and from its mean as a share.
_LOST = 1e-9
_NODES = 6  # of a quadrature over one cell, a few hundredths of a standard deviation wide


@dataclass(frozen=True)
class LognormalSum:
    """A sum's distribution without the unit: at exp(spacing x (first + i)), at 0 and far out.

    Attributes:
        spacing: Of the grid of logarithms.
        first: Number of the first point.
        masses: float64, (points,), probabilities.
        at_zero: Probability of 0.
        beyond: What is missing in the mean: the share of values larger than any.
    """

    spacing: float
    first: int
    masses: Any
    at_zero: float
    beyond: float

    @property
    def logs(self) -> Any:
        """The logarithm of each point: float64, (points,)."""
        import numpy as np

        return (self.first + np.arange(len(self.masses))) * self.spacing


@lru_cache(maxsize=64)
def lognormal_sum(noise: float, terms: int, coarser: int = 1) -> LognormalSum:
    """Returns the sum of `terms` independent Y for a noise multiplier.

    Guarantees:
        For every convex function, its mean by the result is at least that of the sum itself: relative errors of each
        probability below 1e-9 apart, and `beyond` counted as mass at infinity.

    Args:
        noise: Standard deviation of a step's noise, over the bound on what one unit adds.
        terms: At least 1.
        coarser: How many times as coarse as usual the grid is: quicker, and further above what it bounds.

    Raises:
        ArithmeticError: Something was lost on the way, and the result would bound nothing.
    """
    power = _one(noise, coarser * _SPACING / (noise * math.sqrt(terms)))
    total, left = None, terms
    while True:
        if left & 1:
            total = power if total is None else _added(total, power)
        left >>= 1
        if not left:
            return _complete(total if total is not None else power, terms)
        power = _added(power, power)


def _complete(found: LognormalSum, terms: int) -> LognormalSum:
    """The sum, if nothing of its probability and of its mean is missing: else no bound could be read from it."""
    import numpy as np

    mass = float(found.masses.sum()) + found.at_zero
    mean = float(found.masses @ np.exp(found.logs)) + found.beyond
    if not (abs(mass - 1) <= _LOST and abs(mean - terms) <= _LOST * terms):
        raise ArithmeticError(f"A sum of {terms} lognormal numbers has mass {mass!r} and mean {mean!r}.")
    return found


def _one(noise: float, spacing: float) -> LognormalSum:
    """One Y: of each cell between two points, the mean and the probability are kept."""
    import numpy as np

    mean = -1 / (2 * noise**2)
    first = math.floor((mean - _REACH / noise) / spacing)
    last = math.ceil((-mean + _REACH / noise) / spacing)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    within = (nodes + 1) / 2 * spacing
    points = ((np.arange(first, last) * spacing)[:, None] + within - mean) * noise
    chances = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi) * weights / 2 * spacing * noise
    upwards = np.expm1(within) / math.expm1(spacing)
    masses = np.zeros(last - first + 1)
    masses[:-1] += chances @ (1 - upwards)
    masses[1:] += chances @ upwards
    low, high = first * spacing, last * spacing
    chance_below, mean_below = (float(special().ndtr((low + shift) * noise)) for shift in (-mean, mean))
    chance_above, mean_above = (float(special().ndtr(-(high + shift) * noise)) for shift in (-mean, mean))
    masses[0] += mean_below / math.exp(low)
    masses[-1] += chance_above
    at_zero = max(0.0, chance_below - mean_below / math.exp(low))
    return LognormalSum(spacing, first, masses, at_zero, max(0.0, mean_above - math.exp(high) * chance_above))


def _added(one: LognormalSum, other: LognormalSum) -> LognormalSum:
    """The sum of two independent ones of equal spacing.

    The log of exp(a) + exp(b) is the larger of both and a number that depends on their difference alone.
    """
    import numpy as np

    spacing = one.spacing
    # One lower than the least sum's: where that lies on a point of the grid, the pairs' own rounding may lead below it.
    first = math.floor(float(np.logaddexp(one.first * spacing, other.first * spacing)) / spacing) - 1
    last = math.ceil(float(np.logaddexp(_last(one) * spacing, _last(other) * spacing)) / spacing) + 1
    masses = np.zeros(last - first + 1)
    if one is other:
        _add_ordered(masses, first, one, one, times=2)
        _add_ordered(masses, first, one, one, equal=True)
    else:
        _add_ordered(masses, first, one, other)
        _add_ordered(masses, first, one, other, equal=True)
        _add_ordered(masses, first, other, one)
    at_zero = one.at_zero * other.at_zero
    for kept, zero in ((one, other.at_zero), (other, one.at_zero)):
        at_zero += zero * _add_alone(masses, first, kept, zero)
    return _cut(LognormalSum(spacing, first, masses, at_zero, one.beyond + other.beyond))


def _add_alone(masses: Any, first: int, kept: LognormalSum, share: float) -> float:
    """Adds a share of one sum to `masses`, float64 (points,) from `first`; returns how much of it goes to 0 instead."""
    import numpy as np

    index = kept.first + np.arange(len(kept.masses)) - first
    upwards = np.exp(np.minimum(index, 0) * kept.spacing)
    masses += share * np.bincount(np.maximum(index, 0), upwards * kept.masses, len(masses))
    return float(((1 - upwards) * kept.masses).sum())


def _last(sum_: LognormalSum) -> int:
    return sum_.first + len(sum_.masses) - 1


def _add_ordered(
    masses: Any, first: int, larger: LognormalSum, smaller: LognormalSum, *, times: int = 1, equal: bool = False
) -> None:
    """Adds to `masses`, float64 (points,) from `first`, pairs of which `larger` is the larger, or equal ones."""
    import numpy as np

    spacing = larger.spacing
    most = 0 if equal else _last(larger) - smaller.first
    apart = np.arange(0 if equal else max(1, larger.first - _last(smaller)), most + 1)
    more = np.log1p(np.exp(-apart * spacing)) / spacing
    cells = np.floor(more).astype(int)
    upwards = np.clip(np.expm1((more - cells) * spacing) / math.expm1(spacing), 0.0, 1.0)
    for distance, cell, up in zip(apart.tolist(), cells.tolist(), upwards.tolist(), strict=True):
        begin = max(larger.first, smaller.first + distance)
        end = min(_last(larger), _last(smaller) + distance) + 1
        pairs = times * larger.masses[begin - larger.first : max(begin, end) - larger.first]
        pairs *= smaller.masses[begin - distance - smaller.first : max(begin, end) - distance - smaller.first]
        at = begin + cell - first
        if at < 0:  # it would be taken for a place from the end
            raise ArithmeticError(f"A sum lies {-at} points below the grid of its sums.")
        masses[at : at + len(pairs)] += (1 - up) * pairs
        masses[at + 1 : at + 1 + len(pairs)] += up * pairs


def _cut(whole: LognormalSum) -> LognormalSum:
    """Without the ends that hardly ever come: below, given to 0 and the first point that stays; above, to infinity."""
    import numpy as np

    values = np.exp(whole.logs)
    low = int(np.searchsorted(np.cumsum(whole.masses), _CUT))
    means = np.cumsum((whole.masses * values)[::-1])
    high = len(values) - 1 - int(np.searchsorted(means, _CUT * float(means[-1])))
    if low >= high:
        return whole
    masses = whole.masses[low : high + 1].copy()
    kept = whole.masses[:low] * (values[:low] / values[low])
    masses[0] += float(kept.sum())
    masses[-1] += float(whole.masses[high + 1 :].sum())
    at_zero = whole.at_zero + float((whole.masses[:low] - kept).sum())
    beyond = whole.beyond + float((whole.masses[high + 1 :] * (values[high + 1 :] - values[high])).sum())
    return LognormalSum(whole.spacing, whole.first + low, masses, at_zero, beyond)
