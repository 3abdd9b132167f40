"""Accuracy, recall, precision, F1 and kappa from a confusion matrix, which on private pictures is itself a release.

A matrix, (..., K, K), holds whole counts, or sums of weights. Of several matrices each is told on its own.
"""

from __future__ import annotations

import math

import numpy as np


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, num_classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Counts pictures by true class (row) and predicted class (column).

    Args:
        labels: int, (N,), true classes.
        predicted: int, (N,), predicted classes.
        num_classes: K; every entry of both is in 0 .. K-1.
        weights: float64, (B, N), how often each picture counts in each of B matrices; once, in one, if None.

    Returns:
        int64, (K, K); float64, (B, K, K) with weights.
    """
    cells = num_classes**2
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    if weights is None:
        return np.bincount(pairs, minlength=cells).reshape(num_classes, num_classes)
    apart = pairs + cells * np.arange(len(weights))[:, None]
    found = np.bincount(apart.ravel(), weights.ravel(), minlength=cells * len(weights))
    return found.reshape(len(weights), num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """Returns the share of pictures on the diagonal, (...,); 0 when there are none.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.
    """
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)), 0.0)


def recall_per_class(matrix: np.ndarray) -> np.ndarray:
    """Returns of each true class the share that was recognised; nan for a class without pictures.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.

    Returns:
        float64, (..., K).
    """
    return _ratio(_hits(matrix), matrix.sum(axis=-1), math.nan)


def balanced_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Returns the mean recall of the classes that have pictures, (...,); nan when there are none.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.
    """
    return mean_of_numbers(recall_per_class(matrix))


def precision_per_class(matrix: np.ndarray) -> np.ndarray:
    """Returns of the pictures predicted as each class the share that is of it; nan for a class never predicted.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.

    Returns:
        float64, (..., K).
    """
    return _ratio(_hits(matrix), matrix.sum(axis=-2), math.nan)


def cohen_kappa(matrix: np.ndarray) -> np.ndarray:
    """Returns agreement beyond chance (Cohen, 1960), (...,); nan where chance alone agrees everywhere, or without any.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.
    """
    total = matrix.sum(axis=(-2, -1))
    pairs = (matrix.sum(axis=-2) * matrix.sum(axis=-1)).sum(axis=-1)
    by_chance = _ratio(pairs, total * total, math.nan)
    return _ratio(accuracy(matrix) - by_chance, 1 - by_chance, math.nan)


def f1_per_class(matrix: np.ndarray) -> np.ndarray:
    """Returns 2 TP / (2 TP + FP + FN) of each class; 0 for a class that never occurs.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.

    Returns:
        float64, (..., K).
    """
    return _ratio(2.0 * _hits(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2), 0.0)


def macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Returns the mean F1 of the classes that occur, in the labels or among the predictions, (...,); 0 without any.

    Args:
        matrix: Counts, (..., K, K), as `confusion_matrix` gives them.
    """
    return macro(f1_per_class(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2) > 0)


def macro(shares: np.ndarray, occurs: np.ndarray) -> np.ndarray:
    """Returns the mean of a share over the classes that occur, (...,); one that is nan counts 0, and no class gives 0.

    Args:
        shares: float64, (..., K), of each class.
        occurs: bool, (..., K).
    """
    return _ratio((np.nan_to_num(shares) * occurs).sum(axis=-1), occurs.sum(axis=-1), 0.0)


def weighted(shares: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Returns the mean of a share in which each class counts as often as it has pictures, (...,); nan counts 0.

    Args:
        shares: float64, (..., K), of each class.
        pictures: Counts, (..., K).
    """
    return _ratio((np.nan_to_num(shares) * pictures).sum(axis=-1), pictures.sum(axis=-1), 0.0)


def mean_of_numbers(values: np.ndarray) -> np.ndarray:
    """Returns the mean of what is a number in the last axis, (...,); nan where nothing is.

    Args:
        values: float64, (..., K).
    """
    return _ratio(np.nan_to_num(values).sum(axis=-1), (~np.isnan(values)).sum(axis=-1), math.nan)


def _hits(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    """One by the other; `otherwise` where the other is not above 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    found: np.ndarray = np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole > 0)[()]
    return found
