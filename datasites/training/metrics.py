"""Accuracy, recall and F1 from a confusion matrix, which on private pictures is itself a release."""

from __future__ import annotations

import numpy as np


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts pictures by true class (row) and predicted class (column).

    Args:
        labels: int, (N,), true classes.
        predicted: int, (N,), predicted classes.
        num_classes: K; every entry of both is in 0 .. K-1.

    Returns:
        int64, (K, K).
    """
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(matrix: np.ndarray) -> float:
    """Returns the share of pictures on the diagonal; 0 when there are none.

    Args:
        matrix: Counts, (K, K), as `confusion_matrix` gives them.
    """
    return _ratio(float(np.trace(matrix)), float(matrix.sum()))


def recall_per_class(matrix: np.ndarray) -> np.ndarray:
    """Returns of each true class the share that was recognised; nan for a class without pictures.

    Args:
        matrix: Counts, (K, K), as `confusion_matrix` gives them.

    Returns:
        float64, (K,).
    """
    return np.array([float(row[k]) / float(row.sum()) if row.sum() > 0 else np.nan for k, row in enumerate(matrix)])


def f1_per_class(matrix: np.ndarray) -> np.ndarray:
    """Returns 2 TP / (2 TP + FP + FN) of each class; 0 for a class that never occurs.

    Args:
        matrix: Counts, (K, K), as `confusion_matrix` gives them.

    Returns:
        float64, (K,).
    """
    hits, rows, columns = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return np.array([_ratio(2.0 * float(h), float(r) + float(c)) for h, r, c in zip(hits, rows, columns, strict=True)])


def macro_f1(matrix: np.ndarray) -> float:
    """Returns the mean F1 of the classes that occur, in the labels or among the predictions; 0 when there are none.

    Args:
        matrix: Counts, (K, K), as `confusion_matrix` gives them.
    """
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(f1_per_class(matrix)[occurs].mean()) if occurs.any() else 0.0


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
