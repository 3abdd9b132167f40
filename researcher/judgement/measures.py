"""Every score of a model from labels and probabilities, with each picture as often as a bootstrap weighs it.

Public pictures only. A score is named by what it is and the class that it is of, None for all together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from datasites.training import metrics
from datasites.training.finding_metrics import THRESHOLD
from datasites.training.ranking import Ranking
from researcher.judgement.reliability import Reliability, brier, mean, ratio

Key = tuple[str, int | None]
SPECIFICITIES = (0.9, 0.95)
"""At which sensitivity is told."""
_AREAS = ("auroc", "average_precision")


class Measures(Protocol):
    """The scores of one model on one set of pictures."""

    def scores(self, weights: np.ndarray | None = None) -> dict[Key, np.ndarray]:
        """Score → its values, (B,), nan where nothing can be said.

        Args:
            weights: float64, (B, N), how often each picture counts in each of B draws; once, in one, if None.
        """

    def resting_on(self, key: Key) -> list[np.ndarray]:
        """Sets of pictures, bool (N,), of each of which a score needs some; it is no surer than the smallest."""


def sensitivity_name(specificity: float) -> str:
    """Of the sensitivity at a specificity: `sensitivity_at_90`."""
    return f"sensitivity_at_{100 * specificity:g}"


class ClassMeasures:
    """Where each picture is of one class.

    Args:
        labels: int64, (N,), true classes.
        probabilities: float64, (N, K).
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        self.labels, self.predicted = labels, probabilities.argmax(axis=1)
        self.classes = probabilities.shape[1]
        of_class = [labels == place for place in range(self.classes)]
        self.rankings = [Ranking(present, probabilities[:, place]) for place, present in enumerate(of_class)]
        self.reliability = Reliability(probabilities.max(axis=1), self.predicted == labels)
        self._brier = brier(labels, probabilities)

    @property
    def right(self) -> np.ndarray:
        """bool, (N,), whether the likeliest class is the true one."""
        return np.asarray(self.predicted == self.labels)

    def confusion(self) -> np.ndarray:
        """Counts, (K, K): rows are true classes, columns predicted."""
        return metrics.confusion_matrix(self.labels, self.predicted, self.classes)

    def scores(self, weights: np.ndarray | None = None) -> dict[Key, np.ndarray]:
        """Score → its values, (B,); see `Measures`."""
        weights = _once(weights, self.labels)
        matrix = metrics.confusion_matrix(self.labels, self.predicted, self.classes, weights)
        pictures, told = matrix.sum(axis=2), matrix.sum(axis=1)
        occurs = pictures + told > 0
        shares = {
            "precision": metrics.precision_per_class(matrix),
            "recall": metrics.recall_per_class(matrix),
            "f1": np.where(occurs, metrics.f1_per_class(matrix), math.nan),
        }
        accuracy = metrics.accuracy(matrix)
        lacking = matrix.sum(axis=(1, 2))[:, None] - pictures
        quiet = lacking - told + np.diagonal(matrix, axis1=1, axis2=2)
        return {
            ("accuracy", None): accuracy,
            ("balanced_accuracy", None): metrics.balanced_accuracy(matrix),
            ("cohen_kappa", None): metrics.cohen_kappa(matrix),
            **{(f"micro_{name}", None): accuracy for name in shares},
            **dict(_means(shares, occurs=occurs, pictures=pictures)),
            ("ece", None): self.reliability.ece(weights),
            ("adaptive_ece", None): self.reliability.adaptive_ece(weights),
            ("brier", None): mean(self._brier, weights),
            **dict(_of_each({**shares, "specificity": ratio(quiet, lacking)})),
            **dict(_ranked(self.rankings, [weights] * self.classes, pictures)),
        }

    def resting_on(self, key: Key) -> list[np.ndarray]:
        """Sets of pictures behind a score, bool (N,); see `Measures`."""
        name, place = key
        if place is not None:
            return _sets(name, self.labels == place, self.labels != place, self.predicted == place)
        if name in ("accuracy", "ece", "adaptive_ece", "brier") or name.startswith("micro"):
            return [np.ones(len(self.labels), dtype=bool)]
        return [self.labels == place for place in np.unique(self.labels)]


class FindingMeasures:
    """Where each picture has, has not, or may have each of several findings; where nobody knows is passed over.

    Args:
        labels: int8, (N, K): 1, 0 or -1 for unknown.
        probabilities: float64, (N, K).
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        self.labels, self.classes = labels, labels.shape[1]
        self.known, self.told = labels >= 0, probabilities >= THRESHOLD
        columns = [(labels[rows, k] == 1, probabilities[rows, k]) for k, rows in enumerate(self.known.T)]
        self.rankings = [Ranking(*column) for column in columns]
        self.reliabilities = [Reliability(shares, present) for present, shares in columns]
        self._squares = [(shares - present) ** 2 for present, shares in columns]
        every = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
        self.reliability = Reliability(every[1], every[0])

    @property
    def right(self) -> np.ndarray:
        """bool, (N, K), whether a finding is told as it is; of no meaning where it is unknown."""
        return np.asarray(self.told == (self.labels == 1))

    def scores(self, weights: np.ndarray | None = None) -> dict[Key, np.ndarray]:
        """Score → its values, (B,); see `Measures`."""
        weights = _once(weights, self.labels)
        own = [weights[:, rows] for rows in self.known.T]
        tables = np.stack(
            [
                metrics.confusion_matrix(self.labels[rows, k] == 1, self.told[rows, k], 2, each)
                for k, (rows, each) in enumerate(zip(self.known.T, own, strict=True))
            ],
            axis=1,
        )
        calibrated = {
            "ece": [one.ece(each) for one, each in zip(self.reliabilities, own, strict=True)],
            "adaptive_ece": [one.adaptive_ece(each) for one, each in zip(self.reliabilities, own, strict=True)],
            "brier": [mean(one, each) for one, each in zip(self._squares, own, strict=True)],
        }
        found = dict(_of_tables(tables))
        for name, columns in calibrated.items():
            values = np.stack(columns, axis=1)
            found |= {**dict(_of_each({name: values})), (name, None): metrics.mean_of_numbers(values)}
        return found | dict(_ranked(self.rankings, own, tables[:, :, 1].sum(axis=2)))

    def resting_on(self, key: Key) -> list[np.ndarray]:
        """Sets of pictures behind a score, bool (N,); see `Measures`."""
        name, place = key
        if place is not None:
            known = self.known[:, place]
            present, told = self.labels[:, place] == 1, self.told[:, place] & known
            return _sets(name, present, known & ~present, told, every=known)
        if name == "accuracy" or name.startswith("micro"):
            return [self.known.any(axis=1)]
        return [column for column in (self.labels == 1).T if column.any()] or [self.known.any(axis=1)]


def measures_of(labels: np.ndarray, probabilities: np.ndarray) -> ClassMeasures | FindingMeasures:
    """The scores of a model: of classes, int64 (N,) labels, or of findings, int8 (N, K)."""
    return (FindingMeasures if labels.ndim == 2 else ClassMeasures)(labels, probabilities)


def _sets(
    name: str, having: np.ndarray, lacking: np.ndarray, told: np.ndarray, every: np.ndarray | None = None
) -> list[np.ndarray]:
    if name == "precision":
        return [told]
    if name == "specificity":
        return [lacking]
    if name in _AREAS or name.startswith("sensitivity_at") or name == "cohen_kappa":
        return [having, lacking]
    return [having] if every is None or name in ("recall", "f1") else [every]


def _of_tables(tables: np.ndarray) -> Iterator[tuple[Key, np.ndarray]]:
    """The scores of tables, (B, K, 2, 2), one a finding: rows lack and have it, columns do not tell and tell it."""
    pictures, known = tables[:, :, 1].sum(axis=2), tables.sum(axis=(2, 3))
    occurs = known - tables[:, :, 0, 0] > 0
    shares = {
        "precision": metrics.precision_per_class(tables)[:, :, 1],
        "recall": metrics.recall_per_class(tables)[:, :, 1],
        "f1": np.where(occurs, metrics.f1_per_class(tables)[:, :, 1], math.nan),
    }
    kappa, every = metrics.cohen_kappa(tables), tables.sum(axis=1)
    yield ("accuracy", None), np.where(every.sum(axis=(1, 2)) > 0, metrics.accuracy(every), math.nan)
    yield ("micro_precision", None), metrics.precision_per_class(every)[:, 1]
    yield ("micro_recall", None), metrics.recall_per_class(every)[:, 1]
    yield ("micro_f1", None), np.where(occurs.any(axis=1), metrics.f1_per_class(every)[:, 1], math.nan)
    yield ("cohen_kappa", None), metrics.mean_of_numbers(kappa)
    yield from _means(shares, occurs=occurs, pictures=pictures)
    accuracy = np.where(known > 0, metrics.accuracy(tables), math.nan)
    specificity = metrics.recall_per_class(tables)[:, :, 0]
    yield from _of_each({**shares, "accuracy": accuracy, "specificity": specificity, "cohen_kappa": kappa})


def _ranked(
    rankings: Sequence[Ranking], weights: Sequence[np.ndarray], pictures: np.ndarray
) -> Iterator[tuple[Key, np.ndarray]]:
    """What the order of scores tells of each class, and means over those of which it tells something.

    Args:
        rankings: Of each class.
        weights: float64, (B, N), for each.
        pictures: float64, (B, K), of each class.
    """
    ranked = [one.weighed(each) for one, each in zip(rankings, weights, strict=True)]
    areas = {"auroc": [one.auroc() for one in ranked], "average_precision": [one.average_precision() for one in ranked]}
    for name, columns in areas.items():
        values = np.stack(columns, axis=1)
        counted = np.where(np.isnan(values), 0.0, pictures)
        yield (f"macro_{name}", None), metrics.mean_of_numbers(values)
        yield (f"weighted_{name}", None), ratio((np.nan_to_num(values) * counted).sum(axis=1), counted.sum(axis=1))
    at = zip(SPECIFICITIES, zip(*(one.sensitivities_at(SPECIFICITIES) for one in ranked), strict=True), strict=True)
    areas |= {sensitivity_name(specificity): list(columns) for specificity, columns in at}
    for name, columns in areas.items():
        yield from (((name, place), column) for place, column in enumerate(columns))


def _means(
    shares: Mapping[str, np.ndarray], *, occurs: np.ndarray, pictures: np.ndarray
) -> Iterator[tuple[Key, np.ndarray]]:
    """Means over the classes that occur, in which a share of which nothing can be said counts 0."""
    for name, share in shares.items():
        yield (f"macro_{name}", None), metrics.macro(share, occurs)
        yield (f"weighted_{name}", None), metrics.weighted(share, pictures)


def _of_each(each: Mapping[str, np.ndarray]) -> Iterator[tuple[Key, np.ndarray]]:
    """Each class's column of (B, K) values."""
    for name, values in each.items():
        yield from (((name, place), column) for place, column in enumerate(values.T))


def _once(weights: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    return np.ones((1, len(labels))) if weights is None else weights
