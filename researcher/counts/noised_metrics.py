"""Metrics with confidence intervals, from counts that hospitals released with noise. No private row comes here.

Macro F1 and AUROC have their intervals from the parametric bootstrap (under privacy: Ferrando, Wang and Sheldon,
AISTATS 2022): in the world that the released counts suggest, counts are drawn and noised again many times, and the
errors made there are taken for the error made here. Accuracy and recall need no draws, see `share_interval`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from researcher.counts.intervals import Confidence, Interval, checked, count_interval, mean_interval, share_interval

_NONE = 1e-9  # divides where there is nothing to divide


@dataclass(frozen=True)
class NoisedMetrics:
    """Metrics from a noised confusion matrix.

    Attributes:
        accuracy: Probability that a picture's class is recognised.
        macro_f1: Mean F1 of the classes. One that the noise hides stays out of the value, and counts as anything from 0
            to 1 in the interval.
        recall: Of each class, the probability that it is recognised.
        count: Units in the matrix; its interval is of the noise alone.
    """

    accuracy: Interval
    macro_f1: Interval
    recall: tuple[Interval, ...]
    count: Interval


@dataclass(frozen=True)
class NoisedAuroc:
    """What noised score histograms say: the probability that a picture of the class scores higher than another.

    Attributes:
        per_class: Each class against all others; two scores in one bin count as a tie.
        macro: Mean over classes; one that the noise hides is treated as in `NoisedMetrics.macro_f1`.
    """

    per_class: tuple[Interval, ...]
    macro: Interval


def summed_noise(noise_stds: Iterable[float]) -> float:
    """Noise of the sum of several hospitals' counts: for H alike, one hospital's times the square root of H.

    Args:
        noise_stds: Of each hospital, the standard deviation of the noise on one number: its plan's noise_multiplier
            times `sensitivity`.
    """
    return math.hypot(*noise_stds)


def metrics_of(
    confusion: np.ndarray, *, noise_std: float, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> NoisedMetrics:
    """Accuracy, recall and macro F1 of a released confusion matrix.

    Args:
        confusion: float, (K, K), true class by predicted class; of one hospital, or the sum over several.
        noise_std: Standard deviation of the noise on each number; see `summed_noise` for a sum.
        level: Probability that an interval holds the true value.
        draws: Of the bootstrap.
        seed: Of the bootstrap: the same counts and seed give the same intervals.

    Raises:
        DataError: Not a square matrix of finite numbers, or a setting out of range.
    """
    matrix = checked("confusion", confusion, (None, None))
    classes = len(matrix)
    if matrix.shape != (classes, classes) or classes < 2:
        raise DataError(f"confusion must be of two or more classes by as many, got {matrix.shape}.")
    confidence = Confidence(noise_std, level, draws, seed)
    hits = np.diagonal(matrix)
    others = matrix.sum(axis=1) - hits
    rest = math.sqrt(classes - 1)

    def share(own: float, other: float, cells: int) -> Interval:
        spread = noise_std * math.sqrt(cells)
        return share_interval(own, other, hit_spread=spread, other_spread=spread * rest, z=confidence.z)

    return NoisedMetrics(
        accuracy=share(float(hits.sum()), float(others.sum()), classes),
        macro_f1=_macro_f1(matrix, confidence),
        recall=tuple(share(float(own), float(other), 1) for own, other in zip(hits, others, strict=True)),
        count=count_interval(float(matrix.sum()), classes * noise_std, confidence.z),
    )


def auroc_of(
    scores: np.ndarray, *, noise_std: float, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> NoisedAuroc:
    """Area under the ROC curve of each class from released score histograms.

    Args:
        scores: float, (K, 2, B): class; 0 for other classes' pictures, 1 for its own; bin of the class's probability.
        noise_std: As in `metrics_of`.
        level: As in `metrics_of`.
        draws: As in `metrics_of`.
        seed: As in `metrics_of`.

    Raises:
        DataError: Not such histograms of finite numbers, or a setting out of range.
    """
    histograms = checked("scores", scores, (None, 2, None))
    classes, _, bins = histograms.shape
    if classes < 2 or bins < 2:
        raise DataError(f"scores must be of two or more classes and bins, got {histograms.shape}.")
    confidence = Confidence(noise_std, level, draws, seed)
    values, errors = _area(histograms), _area_errors(histograms, confidence)
    wholes = histograms.sum(axis=2).T

    def mean_of(which: slice) -> Interval:
        spread = noise_std * math.sqrt(bins)
        return mean_interval(values[which], errors[:, which], wholes[:, which], spread=spread, confidence=confidence)

    return NoisedAuroc(
        per_class=tuple(mean_of(slice(k, k + 1)) for k in range(classes)),
        macro=mean_of(slice(None)),
    )


def _macro_f1(matrix: np.ndarray, confidence: Confidence) -> Interval:
    """Mean F1 of the classes; the errors are those made when counts are drawn and noised anew."""
    world, generator, noise = _suggested_matrix(matrix), confidence.generator(), confidence.noise_std
    drawn = []
    for shape in confidence.shapes_of_draws(world):
        counts = generator.poisson(world, shape) + noise * generator.standard_normal(shape)
        drawn.append(_f1(counts))
    wholes = matrix.sum(axis=0) + matrix.sum(axis=1)
    spread = noise * math.sqrt(2 * len(matrix) + 2)  # a class's own cell is in its whole twice, 2 K - 2 others once
    errors = np.concatenate(drawn) - _f1(world)
    return mean_interval(_f1(matrix), errors, wholes[None], spread=spread, confidence=confidence)


def _f1(counts: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each class: (..., K, K) gives (..., K), in [-1, 2] where noise is large."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    whole = counts.sum(axis=-1) + counts.sum(axis=-2)
    return np.clip(2 * hits / np.where(whole > 0, whole, _NONE), -1, 2)


def _suggested_matrix(noised: np.ndarray) -> np.ndarray:
    """Expected counts, none negative, that keep each class's hits and misses, and half a picture more of both."""
    hits = np.diagonal(noised)
    misses = np.maximum(noised.sum(axis=1) - hits, 0)
    others = np.maximum(noised, 0) * (1 - np.eye(len(noised)))
    others *= (misses / np.maximum(others.sum(axis=1), _NONE))[:, None]
    return others + 0.5 / (len(noised) - 1) * (1 - np.eye(len(noised))) + np.diag(np.maximum(hits, 0) + 0.5)


def _area(counts: np.ndarray) -> np.ndarray:
    """Share of pairs (own, other) in which the own picture scores higher: (..., K, 2, B) gives (..., K), in [-1, 2]."""
    other, own = counts[..., 0, :], counts[..., 1, :]
    below = np.cumsum(other, axis=-1) - other / 2
    own_total, other_total = (np.where(t > 0, t, _NONE) for t in (own.sum(axis=-1), other.sum(axis=-1)))
    return np.clip((own * below).sum(axis=-1) / own_total / other_total, -1, 2)


def _area_errors(histograms: np.ndarray, confidence: Confidence) -> np.ndarray:
    """(draws, K): errors of drawing the pictures anew, plus errors of noising them anew.

    All classes' histograms are of the same pictures. Sorted, the errors of their draws rise and fall together, which is
    the dependence that spreads a mean over classes most; the noise of each is its own.
    """
    totals = np.maximum(histograms.sum(axis=2), 0)
    world = np.maximum(histograms, 0)
    world = world * (totals / np.maximum(world.sum(axis=2), _NONE))[:, :, None] + 0.5 / world.shape[2]
    generator, drawn, noised = confidence.generator(), [], []
    for shape in confidence.shapes_of_draws(world):
        drawn.append(_area(generator.poisson(world, shape).astype(np.float64)))
        noised.append(_area(world + confidence.noise_std * generator.standard_normal(shape)))
    return np.sort(np.concatenate(drawn), axis=0) + np.concatenate(noised) - 2 * _area(world)
