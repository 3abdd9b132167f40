"""A public hold-out of findings: read as it is written, in the model's order, and scored over what is known."""

from __future__ import annotations

import numpy as np
import pytest

from policies.errors import DataError
from policies.plans.training import ModelSpec
from researcher.evaluation.evaluation import HoldOut, evaluate, load_hold_out

SPEC = ModelSpec("linear", (1, 2, 1), 2, {"bias": False}, "multi")
IDENTITY = {"head.weight": np.eye(2, dtype=np.float32)}  # a pixel above 128 is its finding
NAMES = ("left", "right")


def hold_out(pixels, labels):
    return HoldOut(np.array(pixels, np.uint8).reshape(-1, 1, 2, 1), np.array(labels), NAMES)


def npz(path, **arrays):
    images = np.zeros((3, 2, 2, 1), np.uint8)
    np.savez(path / "hold_out.npz", **{"images": images, "class_names": np.array(NAMES), **arrays})
    return path / "hold_out.npz"


def test_the_platforms_own_model_is_scored_finding_by_finding():
    # left: told for the 1st and 3rd, present in the 1st and 2nd; right: told for the 2nd alone, known of two
    pictures = hold_out([[200, 9], [100, 200], [250, 8], [9, 100]], [[1, 0], [1, 1], [0, -1], [0, -1]])
    scores = evaluate(SPEC, IDENTITY, pictures)
    left, right = scores.findings
    assert (left.sensitivity, left.specificity, left.f1, left.auroc) == (0.5, 0.5, 0.5, 0.5)
    assert (right.known, right.present, right.auroc, right.f1) == (2, 1, 1.0, 1.0)
    assert scores.accuracy == 4 / 6
    assert scores.macro_f1 == scores.macro_auroc == 0.75
    assert scores.confusion == () and scores.recall == ()


def test_a_finding_without_a_picture_that_has_it_has_no_auroc_and_stays_out_of_the_mean():
    scores = evaluate(SPEC, IDENTITY, hold_out([[200, 9], [9, 9]], [[1, 0], [0, 0]]))
    assert scores.findings[1].auroc is None
    assert scores.macro_auroc == scores.findings[0].auroc == 1.0
    assert evaluate(SPEC, IDENTITY, hold_out([[200, 9]], [[1, -1]])).macro_auroc is None


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint8])
def test_whole_numbers_of_any_size_are_read(tmp_path, kind):
    labels = np.array([[0, 1], [1, 1], [0, 0]]).astype(kind)
    found = load_hold_out(npz(tmp_path, labels=labels), class_names=NAMES)
    assert (found.label_kind, found.labels.dtype, found.labels.tolist()) == ("multi", np.int8, labels.tolist())


def test_findings_are_brought_into_the_studys_order_and_those_not_in_the_file_are_unknown(tmp_path):
    labels = np.array([[0, 1], [1, -1], [-1, 0]], np.int8)
    found = load_hold_out(npz(tmp_path, labels=labels), class_names=("right", "middle", "left"))
    assert found.labels.tolist() == [[1, -1, 0], [-1, -1, 1], [0, -1, -1]]
    assert found.class_names == ("right", "middle", "left")
    with pytest.raises(DataError, match="'right'"):
        load_hold_out(npz(tmp_path, labels=labels), class_names=("left", "middle"))


def test_findings_without_names_are_numbered(tmp_path):
    np.savez(tmp_path / "bare.npz", images=np.zeros((2, 2, 2, 1), np.uint8), labels=np.array([[0, 1, -1], [1, 1, 1]]))
    assert load_hold_out(tmp_path / "bare.npz").class_names == ("finding_0", "finding_1", "finding_2")


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((3, 3), np.int8),
        np.full((3, 2), 2),
        np.full((3, 2), -2),
        np.full((3, 2), 0.5),
        np.zeros((3, 2, 1), int),
    ],
)
def test_what_are_no_findings_of_these_names_is_refused(tmp_path, labels):
    with pytest.raises(DataError, match=r"labels"):
        load_hold_out(npz(tmp_path, labels=labels), class_names=NAMES)


def test_a_hold_out_of_another_kind_of_labels_than_the_models_is_refused():
    classes = ModelSpec("linear", (1, 2, 1), 2, {"bias": False})
    with pytest.raises(DataError, match="label_kind is 'single', the hold-out's labels are 'multi'"):
        evaluate(classes, IDENTITY, hold_out([[1, 1]], [[1, 0]]))
    with pytest.raises(DataError, match="label_kind is 'multi', the hold-out's labels are 'single'"):
        evaluate(SPEC, IDENTITY, hold_out([[1, 1]], [1]))
