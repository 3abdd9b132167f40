"""Pictures that a hold-out holds twice are told, in one class or in two."""

from __future__ import annotations

import numpy as np

from researcher.evaluation.copies import Copies, copies_in, trained_on_too
from researcher.evaluation.hold_out import HoldOut

IMAGES = np.zeros((5, 2, 2, 1), np.uint8) + np.array([7, 8, 7, 7, 8], np.uint8)[:, None, None, None]


def test_copies_are_counted_by_whether_their_label_is_that_of_the_first() -> None:
    assert copies_in(IMAGES, np.array([0, 1, 0, 1, 1])) == Copies(2, 1, "number 0 and number 3")
    assert copies_in(IMAGES, np.array([0, 1, 0, 1, 1]), tuple("abcde")).example == "a and d"
    findings = np.array([[1, 0], [0, 0], [1, 0], [1, -1], [0, 0]], np.int8)
    assert copies_in(IMAGES, findings) == Copies(2, 1, "number 0 and number 3")
    assert copies_in(IMAGES[:2], np.array([0, 0])) == Copies() and not list(Copies().told())


def test_whoever_trains_with_a_hold_out_is_told_of_its_copies() -> None:
    same, two = HoldOut(IMAGES, np.array([0, 1, 0, 1, 1]), ("a", "b")).told()
    assert same.startswith("Of the hold-out: 2 pictures have exactly the pixels and the label of another one")
    assert two.startswith("Of the hold-out: 1 picture has exactly the pixels of another one and another label")


def test_pictures_that_are_scored_on_and_trained_on_are_counted() -> None:
    trained = np.arange(5, dtype=np.uint8).repeat(12).reshape(5, 2, 2, 3)
    scored = np.concatenate([trained[:2], trained[:1], trained[:3] + 100])
    assert trained_on_too(scored, trained).startswith("3 of the 6 pictures that are scored on have exactly the pixels")
    assert trained_on_too(scored[1:2], trained).startswith("1 of the 1 pictures that are scored on has exactly")
    assert trained_on_too(trained[:3] + 100, trained) == ""
