"""Rounds on features: the ordinary trainer, in which only a head is trained and travels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.evaluation import predict
from datasites.training.local_round import train_round
from datasites.training.models import build_model, initial_weights, trainable_shapes
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_evaluation import evaluate_privately
from policies.errors import DataError, PlanError
from policies.plans.features import FeatureSpec
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

READS = FeatureSpec("resnet18", "0" * 64)
SPEC = ModelSpec("features", (8, 8, 1), 2, READS.options)
PLAN = TrainingPlan("s", "d", SPEC, 1, 5, 0.5, 1.0, privacy=PrivacySpec(0.1, 1.0, 1e-5))


@pytest.fixture
def pictures():
    """Blank pictures; only their features tell the two classes apart."""
    labels = np.arange(200) % 2
    features = np.random.default_rng(1).normal(size=(200, 512)).astype(np.float32)
    features[:, 0] += 4 * labels - 2
    images = np.zeros((200, 8, 8, 1), dtype=np.uint8)
    return LabelledPictures(images, labels, np.arange(200), 200, features=features)


def test_only_the_head_is_trained_and_travels(pictures):
    update = train_round(PLAN, 0, initial_weights(SPEC, 0), pictures)
    assert {name: array.shape for name, array in update.items()} == {"head.weight": (2, 512), "head.bias": (2,)}
    assert trainable_shapes(SPEC) == {"head.weight": (2, 512), "head.bias": (2,)}
    assert list(build_model(SPEC).buffers()) == []


def test_a_round_on_features_is_the_linear_models_round_on_the_same_numbers(pictures):
    """By the definition: clipped gradients of a softmax regression, summed over one batch of everybody."""
    plan = replace(PLAN, steps_per_round=1, sample_rate=1.0, privacy=PrivacySpec(1e-9, 0.5, 1e-5))
    update = train_round(plan, 0, initial_weights(SPEC, 0), pictures, random=SecureRandom.for_tests(1))
    error = np.eye(2)[pictures.labels] - 0.5  # weights of zero give each class a half
    inputs = np.hstack([pictures.features, np.ones((200, 1))]).astype(np.float64)
    gradients = error[:, :, None] * inputs[:, None, :]
    norms = np.linalg.norm(gradients.reshape(200, -1), axis=1)
    mean = (gradients * (0.5 * (1 - CLIP_MARGIN) / norms)[:, None, None]).sum(axis=0) / 200
    assert (norms > 0.5).all()
    assert np.allclose(update["head.weight"], mean[:, :-1], atol=1e-6)
    assert np.allclose(update["head.bias"], mean[:, -1], atol=1e-6)


def test_a_trained_head_tells_the_classes_apart(pictures):
    weights, update = initial_weights(SPEC, 0), train_round(PLAN, 0, initial_weights(SPEC, 0), pictures)
    trained = {name: weights[name] + update[name] for name in weights}
    found = predict(SPEC, trained, pictures.features[:, None, None, :]).argmax(axis=1)
    assert (found == pictures.labels).mean() > 0.9
    plan = EvaluationPlan("s", "d", SPEC, 1, ReleaseSpec(0.5, 1e-5))
    confusion = evaluate_privately(plan, trained, pictures)["confusion"]
    assert np.trace(confusion) > 170


def test_pictures_that_change_are_refused(pictures):
    with pytest.raises(PlanError, match="augmentation"):
        train_round(replace(PLAN, augmentation="flips"), 0, initial_weights(SPEC, 0), pictures)


@pytest.mark.parametrize("features", [None, np.zeros((200, 3), np.float32)])
def test_without_the_features_that_the_model_reads_nothing_is_trained(pictures, features):
    with pytest.raises(PlanError, match="512 features"):
        train_round(PLAN, 0, initial_weights(SPEC, 0), replace(pictures, features=features))


def test_a_model_of_pictures_does_not_read_features(pictures):
    plan = replace(PLAN, model=ModelSpec("linear", (8, 8, 1), 2), privacy=None)
    update = train_round(plan, 0, initial_weights(plan.model, 0), pictures)
    assert update["head.weight"].shape == (2, 64)


@pytest.mark.parametrize(
    "features", [np.zeros((200, 512)), np.zeros((199, 512), np.float32), np.zeros((200, 1, 512), np.float32)]
)
def test_features_of_another_kind_are_refused(pictures, features):
    with pytest.raises(DataError, match="one row of float32 features"):
        replace(pictures, features=features)


def test_a_prediction_needs_features_of_the_right_width(pictures):
    for wrong in (
        pictures.images,
        pictures.features[:, None, None, :7],
        pictures.features[:, None, None].astype(float),
    ):
        with pytest.raises(DataError, match="float32"):
            predict(SPEC, initial_weights(SPEC, 0), wrong)
