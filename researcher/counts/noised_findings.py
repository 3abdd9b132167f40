"""Metrics of findings with confidence intervals, from counts that hospitals released with noise. No row comes here.

A finding's AUROC is computed from its histograms by `noised_metrics.auroc_of`, as a class's is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from researcher.counts.intervals import Confidence, Interval, checked, count_interval, mean_interval, share_interval

_NONE = 1e-9  # divides where there is nothing to divide


@dataclass(frozen=True)
class NoisedFinding:
    """What noised counts say of one finding, over the units of which it is known.

    Attributes:
        sensitivity: Probability that it is told where it is there.
        specificity: Probability that it is not told where it is not.
        f1: 2 TP / (2 TP + FP + FN).
        present: Units that have it; the interval is of the noise alone.
        absent: Units that have it not, likewise.
    """

    sensitivity: Interval
    specificity: Interval
    f1: Interval
    present: Interval
    absent: Interval


@dataclass(frozen=True)
class NoisedFindings:
    """Metrics from noised counts of findings.

    Attributes:
        findings: One for each, in the order of the model's outputs.
        macro_f1: Their mean F1. One that the noise hides stays out of the value, and counts as anything from 0 to 1 in
            the interval.
    """

    findings: tuple[NoisedFinding, ...]
    macro_f1: Interval


def findings_of(
    counts: np.ndarray, *, noise_std: float, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> NoisedFindings:
    """Sensitivity, specificity and F1 of each finding.

    Args:
        counts: float, (K, 2, 2): finding; 0 where it is absent, 1 where it is present; likewise what the model says. Of
            one hospital, or the sum over several.
        noise_std: Standard deviation of the noise on each number; see `noised_metrics.summed_noise` for a sum.
        level: Probability that an interval holds the true value.
        draws: Of the bootstrap, for F1.
        seed: Of the bootstrap: the same counts and seed give the same intervals.

    Raises:
        DataError: Not such counts of finite numbers, or a setting out of range.
    """
    table = checked("finding_counts", counts, (None, 2, 2))
    if len(table) < 2:
        raise DataError(f"finding_counts must be of two or more findings, got {table.shape}.")
    confidence = Confidence(noise_std, level, draws, seed)
    values, errors, wholes = _f1(table), _f1_errors(table, confidence), _f1_wholes(table)

    def f1(which: slice) -> Interval:
        spread = noise_std * math.sqrt(6)  # a finding's hits are in its whole twice, its misses and alarms once
        return mean_interval(values[which], errors[:, which], wholes[None, which], spread=spread, confidence=confidence)

    def share(own: float, other: float) -> Interval:
        return share_interval(own, other, hit_spread=noise_std, other_spread=noise_std, z=confidence.z)

    def units(pair: np.ndarray) -> Interval:
        return count_interval(float(pair.sum()), noise_std * math.sqrt(2), confidence.z)

    found = tuple(
        NoisedFinding(
            sensitivity=share(float(present[1]), float(present[0])),
            specificity=share(float(absent[0]), float(absent[1])),
            f1=f1(slice(k, k + 1)),
            present=units(present),
            absent=units(absent),
        )
        for k, (absent, present) in enumerate(table)
    )
    return NoisedFindings(found, f1(slice(None)))


def _f1(counts: np.ndarray) -> np.ndarray:
    """F1 of each finding: (..., K, 2, 2) gives (..., K), in [-1, 2] where noise is large."""
    whole = _f1_wholes(counts)
    return np.clip(2 * counts[..., 1, 1] / np.where(whole > 0, whole, _NONE), -1, 2)


def _f1_wholes(counts: np.ndarray) -> np.ndarray:
    return 2 * counts[..., 1, 1] + counts[..., 0, 1] + counts[..., 1, 0]


def _f1_errors(table: np.ndarray, confidence: Confidence) -> np.ndarray:
    """(draws, K): the errors made when counts are drawn and noised anew in the world that the released ones suggest.

    All findings' counts are of the same pictures. Sorted, the errors of their draws rise and fall together, which is
    the dependence that spreads a mean over findings most; the noise of each is its own.
    """
    world, generator, drawn, noised = np.maximum(table, 0) + 0.5, confidence.generator(), [], []
    for shape in confidence.shapes_of_draws(world):
        drawn.append(_f1(generator.poisson(world, shape).astype(np.float64)))
        noised.append(_f1(world + confidence.noise_std * generator.standard_normal(shape)))
    return np.sort(np.concatenate(drawn), axis=0) + np.concatenate(noised) - 2 * _f1(world)
