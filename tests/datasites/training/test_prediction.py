"""Predicting with a model's weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datasites.training.evaluation import predict
from datasites.training.models import initial_weights
from policies.errors import DataError, InputRefused
from policies.plans.training import ModelSpec

TWO_PIXELS = ModelSpec("linear", (1, 2, 1), 2, {"bias": False})


def test_probabilities_are_the_softmax_of_the_logits():
    weights = {"head.weight": np.array([[1, 0], [0, 2]], np.float32)}
    images = np.array([[[[192], [128]]]], np.uint8)  # 1.0 and 0.0
    expected = math.e / (math.e + 1)
    assert predict(TWO_PIXELS, weights, images)[0] == pytest.approx([expected, 1 - expected])


def test_many_pictures_are_predicted_as_each_would_be_alone():
    spec = ModelSpec("small_cnn", (16, 16, 3), 4, {"width": 4})
    weights = initial_weights(spec, 1)
    images = np.random.default_rng(1).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    together = predict(spec, weights, images)
    assert together.shape == (300, 4) and together.dtype == np.float32
    assert together.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    assert predict(spec, weights, images[270:271])[0] == pytest.approx(together[270], abs=1e-5)


def test_no_pictures_give_no_rows():
    weights = {"head.weight": np.zeros((2, 2), np.float32)}
    assert predict(TWO_PIXELS, weights, np.zeros((0, 1, 2, 1), np.uint8)).shape == (0, 2)


def test_pictures_of_another_shape_are_refused():
    weights = {"head.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(DataError, match=r"\(1, 2, 1\)"):
        predict(TWO_PIXELS, weights, np.zeros((1, 2, 2, 1), np.uint8))


def test_weights_of_another_model_are_refused():
    with pytest.raises(InputRefused):
        predict(TWO_PIXELS, {}, np.zeros((1, 1, 2, 1), np.uint8))
