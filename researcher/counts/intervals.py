"""Confidence intervals of numbers that were computed from noised counts. Everything here was released before.

An interval holds two uncertainties: other pictures of the same kind would have given other counts, and each count
carries noise of a known spread. Where the noise hides what a number is divided by, the interval is the whole range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from policies.errors import DataError

MAX_COUNT = 1e15
_NO_PICTURE = 1e-6
_DRAWN_AT_ONCE = 4_000_000  # numbers


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval: low <= value <= high, none of them NaN."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Confidence:
    """Settings of confidence intervals.

    Attributes:
        noise_std: Standard deviation of the noise on each released number, 0 or more.
        level: Probability that an interval holds the true value, between 0 and 1.
        draws: Of the bootstrap, 100 or more.
        seed: Of the bootstrap: the same counts and seed give the same intervals.
    """

    noise_std: float
    level: float
    draws: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.noise_std <= MAX_COUNT:
            raise DataError(f"noise_std must be a number from 0 to {MAX_COUNT:g}, got {self.noise_std!r}.")
        if not 0 < self.level < 1:
            raise DataError(f"level must be between 0 and 1, got {self.level!r}.")
        if self.draws < 100:
            raise DataError(f"draws must be at least 100, got {self.draws!r}.")

    @property
    def z(self) -> float:
        """Standard deviations of a normal value on either side that hold it with probability `level`."""
        return NormalDist().inv_cdf((1 + self.level) / 2)

    def generator(self) -> np.random.Generator:
        """Makes the bootstrap's draws. No secret depends on it."""
        return np.random.default_rng(self.seed)

    def shapes_of_draws(self, world: np.ndarray) -> Iterator[tuple[int, ...]]:
        """Shapes of arrays of draws, together `draws` of them, none much larger than `_DRAWN_AT_ONCE`.

        Args:
            world: float64, (K, ...), counts that are drawn anew.
        """
        at_once = max(1, _DRAWN_AT_ONCE // world.size)
        for start in range(0, self.draws, at_once):
            yield (min(at_once, self.draws - start), *world.shape)

    def quantiles(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the lower and the upper quantile of each column of (draws, ...)."""
        low, high = np.quantile(drawn, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)
        return low, high


def checked(name: str, values: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns released numbers as float64.

    Args:
        name: Of the numbers, for the refusal.
        values: What was released.
        shape: Expected sizes; None stands for any of at least 1.

    Raises:
        DataError: Another shape, or numbers that are not finite or beyond `MAX_COUNT`.
    """
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(n > 0 and e in (n, None) for n, e in zip(array.shape, shape, strict=True))
    if array.dtype.kind not in "iuf" or not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise DataError(f"{name} must be numbers of shape ({wanted}), got {array.dtype} of {array.shape}.")
    array = array.astype(np.float64)
    if not (np.abs(array) <= MAX_COUNT).all():
        raise DataError(f"{name} must hold finite numbers of at most {MAX_COUNT:g} only.")
    return array


def count_interval(noised: float, spread: float, z: float) -> Interval:
    """A count, which cannot be negative, and how far the noise of standard deviation `spread` reaches."""
    value = max(noised, 0.0)
    return Interval(value, max(value - z * spread, 0.0), value + z * spread)


def share_interval(hits: float, others: float, *, hit_spread: float, other_spread: float, z: float) -> Interval:
    """The share of hits among all, from two noised counts.

    The interval holds every share p that a score test of (1 - p) hits = p others does not reject, its variance being
    n p (1 - p) + ((1 - p) hit_spread)^2 + (p other_spread)^2. Without noise this is Wilson's interval (JASA 1927); the
    noise enters as in Fieller's theorem (JRSS B 1954). Negative counts are taken as 0, which is nearer to the truth.

    Args:
        hits: Noised count of hits.
        others: Noised count of all that are no hits.
        hit_spread: Standard deviation of the noise on `hits`.
        other_spread: Standard deviation of the noise on `others`.
        z: Standard deviations on either side.
    """
    hits, others = max(hits, 0.0), max(others, 0.0)
    total = hits + others
    if total < _NO_PICTURE:
        return Interval(0.5, 0.0, 1.0)
    share, own, other = hits / total, (hit_spread / total) ** 2, (other_spread / total) ** 2

    def beyond(p: float) -> float:
        """Above 0 where p is rejected: in shares, the squared distance less z^2 variances; a parabola in p."""
        return (share - p) ** 2 - z**2 * (p * (1 - p) / total + own * (1 - p) ** 2 + other * p**2)

    square = 1 + z**2 * (1 / total - own - other)
    linear = -2 * share - z**2 * (1 / total - 2 * own)
    accepted = [share, *(end for end in (0.0, 1.0) if beyond(end) <= 0)]
    inside = linear**2 - 4 * square * beyond(0.0)
    if inside >= 0:
        half = -(linear + math.copysign(math.sqrt(inside), linear)) / 2
        ends = [top / bottom for top, bottom in ((half, square), (beyond(0.0), half)) if bottom]
        accepted += [end for end in ends if 0 <= end <= 1]
    return Interval(share, min(accepted), max(accepted))


def readable(wholes: np.ndarray, spread: float, z: float) -> np.ndarray:
    """Says which counts can be divided by: those whose lower end is still two standard deviations of noise above zero.

    Args:
        wholes: float64, noised counts.
        spread: Standard deviation of the noise on each.
        z: Standard deviations to the lower end.

    Returns:
        bool, of the shape of `wholes`.
    """
    return wholes > (z + 2) * spread


def mean_interval(
    values: np.ndarray, errors: np.ndarray, wholes: np.ndarray, *, spread: float, confidence: Confidence
) -> Interval:
    """The mean of several shares, each in [0, 1], from what a bootstrap says of their errors.

    The errors are restated over the least that each whole may be: a whole that looks readable because its noise was
    high would otherwise make them look small. A share that cannot be read stays out of the value, and the interval
    leaves it anything from 0 to 1.

    Args:
        values: float64, (K,), estimates; noise may have put them outside [0, 1].
        errors: float64, (draws, K), estimate less truth in the bootstrap's world.
        wholes: float64, (M, K), the noised counts by which each share was divided.
        spread: Standard deviation of the noise on each of `wholes`.
        confidence: How intervals are made.
    """
    known = readable(wholes, spread, confidence.z).all(axis=0)
    part = float(known.mean())
    if part == 0:
        return Interval(0.5, 0.0, 1.0)
    least = wholes[:, known] - confidence.z * spread
    wider = (wholes[:, known] / least).prod(axis=0)
    lowest, highest = (float(error) for error in confidence.quantiles((errors[:, known] * wider).mean(axis=1)))
    value = float(np.clip(values[known].mean(), 0, 1))
    low, high = max(value - max(highest, 0.0), 0.0), min(value - min(lowest, 0.0), 1.0)
    return Interval(value, part * low, part * high + (1 - part))
