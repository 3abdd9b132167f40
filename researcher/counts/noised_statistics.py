"""Statistics of hospitals' pictures, from sums that they released with noise. No private row comes here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from researcher.counts.intervals import Confidence, Interval, checked, count_interval, readable

_CHANNELS = ("channel_sums", "channel_square_sums")
_Column = tuple[Interval, ...]


@dataclass(frozen=True)
class FindingCounts:
    """How many units have a finding, have it not, and of how many that is unknown."""

    absent: Interval
    present: Interval
    unknown: Interval


@dataclass(frozen=True)
class ClassStatistics:
    """What noised statistics say of the hospitals' own pictures; the intervals are of the noise alone.

    Attributes:
        class_counts: Units of each class; empty where labels are findings.
        channel_mean: Mean of each channel, pixels in [0, 1].
        channel_std: Standard deviation of all pixels of each channel, pixels in [0, 1], so at most 0.5.
        finding_counts: Units by each finding; empty where labels are classes.
    """

    class_counts: tuple[Interval, ...]
    channel_mean: tuple[Interval, ...]
    channel_std: tuple[Interval, ...]
    finding_counts: tuple[FindingCounts, ...] = ()


def statistics_of(
    released: Mapping[str, np.ndarray], *, noise_std: float, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> ClassStatistics:
    """Counts of classes or findings, channel means and channel spreads of released statistics.

    Args:
        released: `class_counts` (K,) or `finding_counts` (K, 3): absent, present, unknown; with `channel_sums` (C,) and
            `channel_square_sums` (C,). Of one hospital, or summed.
        noise_std: Standard deviation of the noise on each number; see `noised_metrics.summed_noise` for a sum.
        level: Probability that an interval holds the true value.
        draws: Of the noise, for the intervals of means and spreads.
        seed: Of those draws: the same numbers and seed give the same intervals.

    Raises:
        DataError: Not these arrays of finite numbers, or a setting out of range.
    """
    of_findings = "finding_counts" in released
    counted = "finding_counts" if of_findings else "class_counts"
    if set(released) != {counted, *_CHANNELS}:
        wanted = ", ".join(("class_counts or finding_counts", *_CHANNELS))
        raise DataError(f"Statistics must hold exactly {wanted}, got {', '.join(sorted(released))}.")
    counts = checked(counted, released[counted], (None, 3) if of_findings else (None,))
    sums, squares = (checked(name, released[name], (None,)) for name in _CHANNELS)
    if sums.shape != squares.shape:
        raise DataError(f"Sums and square sums must be of the same channels, got {sums.shape} and {squares.shape}.")
    confidence = Confidence(noise_std, level, draws, seed)
    rows = len(counts) if of_findings else 1  # each finding's three counts are of all units
    total, spread = float(counts.sum()) / rows, noise_std * math.sqrt(counts.size) / rows
    means, deviations = _channels(total, spread, sums, squares, confidence)
    intervals = [count_interval(float(count), noise_std, confidence.z) for count in counts.ravel()]
    return ClassStatistics(
        class_counts=() if of_findings else tuple(intervals),
        channel_mean=means,
        channel_std=deviations,
        finding_counts=tuple(FindingCounts(*intervals[start : start + 3]) for start in range(0, counts.size, 3))
        if of_findings
        else (),
    )


def _channels(
    total: float, spread: float, sums: np.ndarray, squares: np.ndarray, confidence: Confidence
) -> tuple[_Column, _Column]:
    """Mean and standard deviation of each channel; the whole range where the noise hides the number of units.

    Args:
        total: Noised number of units.
        spread: Standard deviation of the noise on it.
        sums: float64, (C,).
        squares: Likewise.
        confidence: How intervals are made.
    """
    if not readable(np.array(total), spread, confidence.z):
        return (Interval(0.5, 0.0, 1.0),) * len(sums), (Interval(0.25, 0.0, 0.5),) * len(sums)
    generator, shape = confidence.generator(), (confidence.draws, len(sums))
    totals = total + spread * generator.standard_normal((confidence.draws, 1))
    totals = np.maximum(totals, total / 1e6)  # a total is never negative
    drawn_sums = sums + confidence.noise_std * generator.standard_normal(shape)
    drawn_squares = squares + confidence.noise_std * generator.standard_normal(shape)
    mean, deviation = _moments(sums / total, squares / total)
    drawn_mean, drawn_deviation = _moments(drawn_sums / totals, drawn_squares / totals)
    return _around(mean, drawn_mean, confidence), _around(deviation, drawn_deviation, confidence)


def _moments(mean: np.ndarray, mean_square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean in [0, 1] and standard deviation in [0, 0.5], from noised estimates."""
    mean = np.clip(mean, 0, 1)
    return mean, np.sqrt(np.clip(mean_square - mean**2, 0, 0.25))


def _around(values: np.ndarray, drawn: np.ndarray, confidence: Confidence) -> _Column:
    """The middle share of the draws, widened to hold the estimate."""
    ends = zip(values, *confidence.quantiles(drawn), strict=True)
    return tuple(Interval(float(v), float(min(low, v)), float(max(high, v))) for v, low, high in ends)
