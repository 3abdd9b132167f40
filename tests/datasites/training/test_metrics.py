"""Metrics on a matrix that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from datasites.training.metrics import accuracy, confusion_matrix, f1_per_class, macro_f1, recall_per_class

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 1])
MATRIX = np.array([[2, 1, 0], [1, 1, 0], [0, 1, 0]])


def test_rows_are_true_classes_and_columns_predicted_ones():
    assert confusion_matrix(LABELS, PREDICTED, 3).tolist() == MATRIX.tolist()


def test_accuracy_is_the_share_on_the_diagonal():
    assert accuracy(MATRIX) == 3 / 6


def test_recall_is_the_share_of_each_row_on_the_diagonal():
    assert recall_per_class(MATRIX).tolist() == [2 / 3, 1 / 2, 0]


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    # Class 0: precision 2/3, recall 2/3. Class 1: precision 1/3, recall 1/2. Class 2: never predicted.
    assert f1_per_class(MATRIX) == pytest.approx([2 / 3, 2 / 5, 0])
    assert macro_f1(MATRIX) == pytest.approx((2 / 3 + 2 / 5 + 0) / 3)


def test_a_class_that_never_occurs_does_not_lower_macro_f1():
    wider = np.zeros((4, 4), dtype=np.int64)
    wider[:3, :3] = MATRIX
    assert macro_f1(wider) == pytest.approx(macro_f1(MATRIX))


def test_no_pictures_give_zeros_and_no_division():
    empty = confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2)
    assert empty.tolist() == [[0, 0], [0, 0]]
    assert accuracy(empty) == 0 and macro_f1(empty) == 0 and np.isnan(recall_per_class(empty)).all()


def test_a_class_without_pictures_has_no_recall_and_does_not_count():
    perfect = np.diag([2, 1, 0])
    recall = recall_per_class(perfect)
    assert recall[:2].tolist() == [1, 1] and np.isnan(recall[2]) and macro_f1(perfect) == 1
