"""Scores of how well findings are told: exact on public pictures. On private ones every number is a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasites.training.ranking import Ranking, known

THRESHOLD = 0.5
"""A probability from which on a finding counts as told."""


@dataclass(frozen=True)
class FindingScores:
    """How well one finding is told, over the pictures of which it is known.

    A score that nothing can be said of is None: without a picture that has the finding, or without one that has it not,
    no order of the two can be right or wrong.

    Attributes:
        known: Pictures of which it is known.
        present: Of these, those that have it.
        auroc: Probability that a picture with the finding scores higher than one without; a tie counts half.
        average_precision: Mean precision over the pictures that have it, from the highest score down; pictures of one
            score come together.
        sensitivity: Share told of those that have it, at probability `THRESHOLD`.
        specificity: Share not told of those that have it not, likewise.
        f1: 2 TP / (2 TP + FP + FN), likewise; None where it is neither there nor told.
    """

    known: int
    present: int
    auroc: float | None
    average_precision: float | None
    sensitivity: float | None
    specificity: float | None
    f1: float | None


def score_findings(labels: np.ndarray, probabilities: np.ndarray) -> tuple[FindingScores, ...]:
    """Scores each finding.

    Args:
        labels: int8, (N, K): 1 where a picture has the finding, 0 where it has not, -1 where that is unknown.
        probabilities: Real, (N, K); one that is no number counts as 0.
    """
    shares = np.nan_to_num(np.asarray(probabilities, dtype=np.float64), nan=0.0)
    columns = zip(labels.T, shares.T, strict=True)
    return tuple(_scores(truth[truth >= 0] == 1, share[truth >= 0]) for truth, share in columns)


def right_share(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the share of known findings, over all pictures, that are told right at `THRESHOLD`; 0 if none is known.

    Args:
        labels: As `score_findings`.
        probabilities: Likewise.
    """
    known = labels >= 0
    right = ((np.asarray(probabilities) >= THRESHOLD) == (labels == 1))[known]
    return float(right.mean()) if right.size else 0.0


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """Returns the mean of those that are there: one finding counts as much as another; None where none is."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def macro_auroc(findings: Sequence[FindingScores]) -> float | None:
    """Returns the mean AUROC over the findings that have one; None where none has."""
    return mean_of_known([finding.auroc for finding in findings])


def _scores(present: np.ndarray, shares: np.ndarray) -> FindingScores:
    told = shares >= THRESHOLD
    hits, missed = int((told & present).sum()), int((~told & present).sum())
    alarms, quiet = int((told & ~present).sum()), int((~told & ~present).sum())
    ranking = Ranking(present, shares).weighed()
    return FindingScores(
        known=len(present),
        present=hits + missed,
        auroc=known(ranking.auroc()),
        average_precision=known(ranking.average_precision()),
        sensitivity=_share(hits, hits + missed),
        specificity=_share(quiet, quiet + alarms),
        f1=_share(2 * hits, 2 * hits + alarms + missed),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
