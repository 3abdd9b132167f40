"""Two models on the same pictures: whether they differ by more than chance. Public pictures only.

McNemar (Psychometrika 1947), exact and with Edwards' correction (1948); DeLong, DeLong and Clarke-Pearson (Biometrics
1988) by ranks (Sun and Xu, IEEE Signal Processing Letters 2014); p values of several classes together by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LARGE = 25
"""Pictures that exactly one of two models gets right, from which on the corrected statistic is told."""


@dataclass(frozen=True)
class McNemar:
    """Whether two models are right equally often.

    Attributes:
        only_first: Pictures that only the first gets right.
        only_second: Pictures that only the second gets right.
        p_exact: By the binomial distribution.
        statistic: Chi-squared of one degree, with continuity correction; None where they are fewer than `LARGE`.
        p_corrected: By it.
    """

    only_first: int
    only_second: int
    p_exact: float
    statistic: float | None
    p_corrected: float | None


@dataclass(frozen=True)
class DeLong:
    """Whether two AUROCs differ.

    Attributes:
        first: Of the first model.
        second: Of the second.
        error: Standard error of the difference; None where a kind of pictures is one alone.
        z: The difference over it; None where it is 0 or unknown.
        p: Two-sided; None where nothing can be said.
    """

    first: float
    second: float
    error: float | None
    z: float | None
    p: float | None


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compares which pictures two models get right.

    Args:
        first: bool, (N,).
        second: bool, (N,).
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    either = only_first + only_second
    from scipy.special import bdtr  # late: a judgement of one model does without, and it takes long to import

    exact = min(1.0, 2 * float(bdtr(min(only_first, only_second), either, 0.5))) if either else 1.0
    if either < LARGE:
        return McNemar(only_first, only_second, exact, None, None)
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / either
    return McNemar(only_first, only_second, exact, statistic, _both_tails(math.sqrt(statistic)))


def delong(present: np.ndarray, first: np.ndarray, second: np.ndarray) -> DeLong | None:
    """Compares the AUROCs of two models on the same pictures.

    Args:
        present: bool, (N,).
        first: float64, (N,), scores of the first model.
        second: float64, (N,), of the second.

    Returns:
        None without a picture of either kind.
    """
    if not present.any() or present.all():
        return None
    having, lacking = placements(present, np.stack([first, second]))
    areas = having.mean(axis=1)
    if min(having.shape[1], lacking.shape[1]) < 2:
        return DeLong(float(areas[0]), float(areas[1]), None, None, None)
    covariance = np.cov(having) / having.shape[1] + np.cov(lacking) / lacking.shape[1]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error, difference = math.sqrt(max(variance, 0.0)), float(areas[0] - areas[1])
    if error < 1e-12:
        same = np.array_equal(having[0], having[1]) and np.array_equal(lacking[0], lacking[1])
        return DeLong(float(areas[0]), float(areas[1]), 0.0, None, 1.0 if same else None)
    z = difference / error
    return DeLong(float(areas[0]), float(areas[1]), error, z, _both_tails(z))


def placements(present: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each picture's share of the pictures of the other kind that it is ordered rightly against, a tie as a half.

    Args:
        present: bool, (N,), of both kinds.
        scores: float64, (M, N), of M models.

    Returns:
        float64, (M, pictures that have it) and (M, pictures that have it not).
    """
    having, lacking = scores[:, present], scores[:, ~present]
    together = _ranks(np.concatenate([having, lacking], axis=1))
    many, few = having.shape[1], lacking.shape[1]
    of_having = (together[:, :many] - _ranks(having)) / few
    of_lacking = 1 - (together[:, many:] - _ranks(lacking)) / many
    return of_having, of_lacking


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values of several comparisons made to hold together; None stays."""
    known = sorted((value, place) for place, value in enumerate(values) if value is not None)
    found: list[float | None] = [None] * len(values)
    reached = 0.0
    for rank, (value, place) in enumerate(known):
        reached = max(reached, min(1.0, (len(known) - rank) * value))
        found[place] = reached
    return found


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Each value's rank in its row, from 1; equal ones have the mean of theirs."""
    found = np.empty(rows.shape)
    for row, values in enumerate(rows):
        _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        found[row] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return found


def _both_tails(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
