"""Scores of a global model, on predictions that a reader can count."""

import numpy as np
import pytest

from policies.errors import DataError
from policies.plans.training import ModelSpec
from researcher.evaluation.evaluation import HoldOut, evaluate

SPEC = ModelSpec("linear", (1, 2, 1), 2)


def hold_out(pixels, labels) -> HoldOut:
    images = np.array(pixels, dtype=np.uint8).reshape(-1, 1, 2, 1)
    return HoldOut(images, np.array(labels), ("dark", "bright"))


def by_first_pixel(spec, weights, images):
    bright = images[:, 0, 0, 0] / 255.0
    return np.stack([1 - bright, bright], axis=1)


def test_scores_are_those_of_the_counted_predictions():
    # predicted: bright, bright, dark, dark, dark; true: bright, dark, dark, dark, bright
    pictures = hold_out([[250, 0], [200, 0], [10, 0], [20, 0], [30, 0]], [1, 0, 0, 0, 1])
    scores = evaluate(SPEC, {}, pictures, predict=by_first_pixel)
    assert scores.confusion == ((2, 1), (1, 1))
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.recall == pytest.approx((2 / 3, 1 / 2))
    # F1: dark 2·2/(2·2+1+1) = 2/3, bright 2·1/(2·1+1+1) = 1/2
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_platforms_own_model_is_scored():
    # bright when the first pixel is brighter than the second: the difference of two weights decides
    weights = {
        "head.weight": np.array([[0, 0], [1, -1]], np.float32),
        "head.bias": np.zeros(2, np.float32),
    }
    pictures = hold_out([[9, 1], [200, 50], [1, 9], [3, 200]], [1, 0, 0, 0])
    scores = evaluate(SPEC, weights, pictures)
    assert scores.confusion == ((2, 1), (0, 1))
    assert scores.accuracy == 0.75


def test_the_fixed_part_of_a_model_is_computed_once_for_a_hold_out_and_changes_no_score(monkeypatch):
    from datasites.training import evaluation

    spec = ModelSpec("scattering_linear", (24, 24, 1), 2, {"size": 24})
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (9, 24, 24, 1), dtype=np.uint8)
    pictures, others = (HoldOut(part, np.arange(len(part)) % 2, ("dark", "bright")) for part in (images, images[3:]))
    rounds = [
        {"head.weight": random.normal(size=(2, 235)).astype(np.float32), "head.bias": np.zeros(2, np.float32)}
        for _ in range(3)
    ]
    expected = [evaluation.predict(spec, weights, images).argmax(1) for weights in rounds]
    calls, compute = [], evaluation.fixed_features
    monkeypatch.setattr(evaluation, "fixed_features", lambda spec, images: calls.append(1) or compute(spec, images))
    for weights, found in zip(rounds, expected, strict=True):
        scores = evaluate(spec, weights, pictures)
        assert scores.accuracy == pytest.approx(np.mean(found == pictures.labels))
        assert evaluate(spec, weights, others).accuracy == pytest.approx(np.mean(found[3:] == others.labels))
    assert len(calls) == 2, "once for each hold-out"


def test_a_hold_out_for_another_model_is_refused():
    with pytest.raises(DataError, match="3 classes"):
        evaluate(ModelSpec("linear", (1, 2, 1), 3), {}, hold_out([[1, 1]], [0]), predict=by_first_pixel)
    with pytest.raises(DataError, match=r"\(2, 2, 1\)"):
        evaluate(ModelSpec("linear", (2, 2, 1), 2), {}, hold_out([[1, 1]], [0]), predict=by_first_pixel)
