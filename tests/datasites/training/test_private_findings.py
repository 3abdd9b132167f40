"""Counts of findings: exact inside, and no unit, whatever is known of it, moves them beyond their sensitivity."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from datasites.training.evaluation import predict
from datasites.training.jobs import run_round
from datasites.training.models import initial_weights, trainable_shapes
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_evaluation import count_predictions, evaluate_privately
from datasites.training.releases.private_statistics import sum_pictures, summarise_privately
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, RunSpec

QUIET = ReleaseSpec(1e-9, 1e-5, "patient")
CPU = RunSpec("cpu", 4)
TWO = ModelSpec("linear", (1, 2, 1), 2, {"bias": False}, "multi")
IDENTITY = {"head.weight": np.eye(2, dtype=np.float32)}  # a pixel above 128 is its finding
CNN = ModelSpec("small_cnn", (16, 16, 1), 5, {"width": 4}, "multi")


def evaluation(model=TWO, privacy=QUIET, score_bins=0, run=CPU):
    return EvaluationPlan("s", "d", model, 2, privacy, score_bins, run)


def statistics(model=TWO, privacy=QUIET):
    return StatisticsPlan("s", "d", model.image_shape, model.num_classes, privacy, 1, CPU, "multi")


def two_pixels(*rows, units=None):
    images = np.array([[[[a], [b]]] for a, b, _, _ in rows], np.uint8)
    labels = np.array([findings for _, _, *findings in rows], np.int8)
    return LabelledPictures(images, labels, np.arange(len(rows)) if units is None else units, 50)


def drawn(spec, count, rng, units=None):
    images = rng.integers(0, 256, (count, *spec.image_shape), dtype=np.uint8)
    labels = rng.integers(-1, 2, (count, spec.num_classes)).astype(np.int8)
    return LabelledPictures(images, labels, np.arange(count) if units is None else units, 50)


def distance(first, second):
    assert set(first) == set(second)
    return math.sqrt(sum(float(np.square(first[name].astype(float) - second[name]).sum()) for name in first))


# --- what is counted ---

PICTURES = two_pixels((200, 10, 1, 0), (200, 10, 0, -1), (10, 128, 1, 1), (10, 10, -1, 1))


def test_findings_are_counted_by_truth_and_by_what_the_model_says_and_unknown_ones_nowhere():
    counts = evaluate_privately(evaluation(), IDENTITY, PICTURES)["finding_counts"]
    # rows: absent, present; columns: not told, told; a probability of exactly 1/2 is told
    assert counts == pytest.approx(np.array([[[0, 1], [1, 1]], [[1, 0], [1, 1]]]), abs=1e-4)


def test_scores_are_counted_by_finding_by_truth_and_by_probability():
    # model values 1 and 0 give .731 and .5: of four bins the third of both; -1.84 gives .137
    pictures = two_pixels((192, 128, 1, 0), (192, 10, -1, 1))
    scores = evaluate_privately(evaluation(score_bins=4), IDENTITY, pictures)["scores"]
    expected = np.zeros((2, 2, 4))
    expected[0, 1, 2] = expected[1, 0, 2] = expected[1, 1, 0] = 1
    assert scores == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_in_whatever_batches_the_counts_are_those_of_plain_prediction(batch):
    pictures = drawn(CNN, 90, np.random.default_rng(1))
    weights = {name: 3 * values for name, values in initial_weights(CNN, 1).items()}
    counts = count_predictions(
        evaluation(CNN, score_bins=10, run=RunSpec("cpu", batch)), weights, pictures, np.arange(90)
    )
    shares = predict(CNN, weights, pictures.images)
    for k in range(5):
        for truth in (0, 1):
            own = shares[pictures.labels[:, k] == truth, k]
            assert counts["scores"][k, truth].tolist() == np.histogram(own, 10, (0, 1))[0].tolist()
            assert counts["finding_counts"][k, truth].tolist() == [(own < 0.5).sum(), (own >= 0.5).sum()]


def test_statistics_count_absent_present_and_unknown():
    released = summarise_privately(statistics(), PICTURES)
    assert released["finding_counts"] == pytest.approx(np.array([[1, 2, 1], [1, 2, 1]]), abs=1e-4)
    assert released["channel_sums"] == pytest.approx([(210 + 210 + 138 + 20) / 255 / 2], abs=1e-4)


def test_a_patient_with_many_pictures_counts_once_for_each_finding():
    pictures = two_pixels(*[(200, 10, 1, 0)] * 5, (10, 200, 0, 1), units=np.array([0, 0, 0, 0, 0, 1]))
    counts = evaluate_privately(evaluation(), IDENTITY, pictures)["finding_counts"]
    assert counts == pytest.approx(np.array([[[1, 0], [0, 1]], [[1, 0], [0, 1]]]), abs=1e-4)
    told = summarise_privately(statistics(), pictures)["finding_counts"]
    assert told == pytest.approx(np.array([[1, 1, 0], [1, 1, 0]]), abs=1e-4)


# --- what one unit can change ---


@pytest.mark.parametrize("bins", [0, 9])
@pytest.mark.parametrize("scale", [0.1, 1e5, 3e38], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_no_unit_of_random_datasets_moves_an_evaluation_by_more_than_its_sensitivity(seed, scale, bins):
    rng, most = np.random.default_rng(seed), float(np.finfo(np.float32).max)
    pictures = drawn(CNN, 7, rng)
    if seed == 0:  # all is known of the first picture: it moves the counts as far as any can
        pictures.labels[0] = np.abs(pictures.labels[0])
    weights = {
        name: np.clip(scale * rng.standard_normal(shape), -most, most).astype(np.float32)
        for name, shape in trainable_shapes(CNN).items()
    }
    plan = evaluation(CNN, score_bins=bins)
    everyone = count_predictions(plan, weights, pictures, np.arange(7))
    for left_out in range(7):
        others = count_predictions(plan, weights, pictures, np.delete(np.arange(7), left_out))
        known = int((pictures.labels[left_out] >= 0).sum())
        assert distance(everyone, others) == pytest.approx(math.sqrt(known * (2 if bins else 1)))
        assert distance(everyone, others) <= plan.sensitivity * (1 + 1e-12)
    if seed == 0:
        others = count_predictions(plan, weights, pictures, np.arange(1, 7))
        assert distance(everyone, others) == pytest.approx(plan.sensitivity)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pixels", ["drawn", "white"])
def test_no_unit_of_random_datasets_moves_statistics_by_more_than_their_sensitivity(seed, pixels):
    pictures = drawn(CNN, 9, np.random.default_rng(seed))
    if pixels == "white":
        pictures = replace(pictures, images=np.full_like(pictures.images, 255))
    plan = statistics(CNN)
    everyone = sum_pictures(plan, pictures, np.arange(9))
    moved = [distance(everyone, sum_pictures(plan, pictures, np.delete(np.arange(9), out))) for out in range(9)]
    assert max(moved) == pytest.approx(plan.sensitivity) if pixels == "white" else max(moved) < plan.sensitivity


@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_no_patient_moves_a_whole_release_by_more_than_its_sensitivity(kind):
    """At noise too small to matter, of patients whose own pictures are all alike."""
    rng = np.random.default_rng(3)
    patients, repeats = drawn(CNN, 8, rng), np.array([1, 2, 3, 40, 5, 1, 1, 7])
    weights = initial_weights(CNN, 1)
    plan = evaluation(CNN, score_bins=5) if kind == "evaluation" else statistics(CNN)

    def released(kept):
        rows = np.repeat(kept, repeats[kept])
        units = np.repeat(np.arange(len(kept)), repeats[kept])
        pictures = LabelledPictures(patients.images[rows], patients.labels[rows], units, 50)
        if kind == "evaluation":
            return evaluate_privately(plan, weights, pictures)
        return summarise_privately(plan, pictures)

    everyone = released(np.arange(8))
    moved = [distance(everyone, released(np.delete(np.arange(8), out))) for out in range(8)]
    assert max(moved) <= plan.sensitivity * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_where_answers_hang_on_rounding_no_unit_changes_the_answer_for_another(seed):
    """Pictures of two equal halves under opposite weights: the exact logit is 0, its sign is that of the rounding."""
    spec = ModelSpec("linear", (2, 512, 1), 2, {"bias": False}, "multi")
    rng = np.random.default_rng(seed)
    half = rng.standard_normal(512).astype(np.float32) * 1e4
    weights = {"head.weight": np.stack([np.concatenate([half, -half])] * 2)}
    rows = rng.integers(0, 256, (7, 1, 512, 1), dtype=np.uint8)
    pictures = LabelledPictures(np.repeat(rows, 2, axis=1), np.ones((7, 2), np.int8), np.arange(7), 50)
    plan = evaluation(spec, run=RunSpec("cpu", 2))
    everyone = count_predictions(plan, weights, pictures, np.arange(7))
    for left_out in range(7):
        others = count_predictions(plan, weights, pictures, np.delete(np.arange(7), left_out))
        assert distance(everyone, others) == pytest.approx(math.sqrt(2))


# --- the noise ---


@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_every_number_carries_the_noise_that_the_plan_declares(kind):
    pictures, weights, random = (
        drawn(CNN, 20, np.random.default_rng(1)),
        initial_weights(CNN, 1),
        SecureRandom.for_tests(5),
    )
    privacy = ReleaseSpec(7.0, 1e-5)
    plan = evaluation(CNN, privacy, 20) if kind == "evaluation" else statistics(CNN, privacy)
    assert plan.sensitivity == math.sqrt(10 if kind == "evaluation" else 7)
    if kind == "evaluation":
        exact = count_predictions(plan, weights, pictures, np.arange(20))
        releases = [evaluate_privately(plan, weights, pictures, random=random) for _ in range(100)]
    else:
        exact = sum_pictures(plan, pictures, np.arange(20))
        releases = [summarise_privately(plan, pictures, random=random) for _ in range(400)]
    noise = np.concatenate(
        [((r[name] - exact[name]) / (7.0 * plan.sensitivity)).ravel() for r in releases for name in exact]
    )
    assert abs(noise.std() - 1) < 4 / math.sqrt(2 * noise.size)
    assert stats.kstest(noise, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    "plan",
    [evaluation(CNN, score_bins=20), evaluation(CNN), statistics(CNN)],
    ids=lambda plan: f"{plan.kind}-{len(plan.outputs)}",
)
def test_a_release_is_exactly_the_declared_numbers(plan):
    weights = {} if plan.kind == "statistics" else initial_weights(CNN, 1)
    released = run_round(plan, 0, weights, drawn(CNN, 6, np.random.default_rng(2)))
    assert {name: values.shape for name, values in released.items()} == plan.outputs
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in released.values())
