"""Evaluations and statistics of private pictures: exact sums inside, and outside nothing without its noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from datasites.training.evaluation import predict
from datasites.training.jobs import run_round
from datasites.training.local_round import train_round
from datasites.training.metrics import confusion_matrix
from datasites.training.models import initial_weights, trainable_shapes
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_evaluation import count_predictions, evaluate_privately
from datasites.training.releases.private_release import one_picture_each
from datasites.training.releases.private_statistics import sum_pictures, summarise_privately
from policies.errors import InputRefused, PlanError, RoundRefused
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan

QUIET = ReleaseSpec(1e-6, 1e-5)
CPU = RunSpec(device="cpu")
TWO_PIXELS = ModelSpec("linear", (1, 2, 1), 2, {"bias": False})
IDENTITY = {"head.weight": np.eye(2, dtype=np.float32)}  # the brighter pixel is the class
CNN = ModelSpec("small_cnn", (16, 16, 3), 4, {"width": 4})
MOBILENET = ModelSpec("mobilenet_v3_small", (28, 28, 3), 3, {"width": 0.5})


def evaluation(model=TWO_PIXELS, privacy=QUIET, score_bins=0, **changes):
    values = {"rounds": 2, "privacy": privacy, "score_bins": score_bins, "run": CPU}
    return EvaluationPlan("study", "dataset", model, **{**values, **changes})


def statistics(image_shape=(1, 2, 1), num_classes=2, privacy=QUIET, **changes):
    return StatisticsPlan("study", "dataset", image_shape, num_classes, privacy, **{"run": CPU, **changes})


def two_pixels(*rows, units=None):
    """Pictures of two pixels; each is (first byte, second byte, class)."""
    images = np.array([[[[a], [b]]] for a, b, _ in rows], np.uint8)
    labels = np.array([label for *_, label in rows])
    return LabelledPictures(images, labels, np.arange(len(rows)) if units is None else units, public_size=50)


def drawn(spec, count, *, seed=1, units=None):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *spec.image_shape), dtype=np.uint8)
    labels = generator.integers(0, spec.num_classes, count)
    return LabelledPictures(images, labels, np.arange(count) if units is None else units, public_size=50)


def random(seed=1):
    return SecureRandom.for_tests(seed)


def hostile(spec, scale, seed=1):
    """Finite weights of which little sense, and at large scales nothing finite, comes out."""
    draw, most = np.random.default_rng(seed).standard_normal, float(np.finfo(np.float32).max)
    shapes = trainable_shapes(spec)
    return {name: np.clip(scale * draw(shape), -most, most).astype(np.float32) for name, shape in shapes.items()}


def distance(first, second):
    assert set(first) == set(second)
    return math.sqrt(sum(float(np.square(first[name] - second[name]).sum()) for name in first))


def farthest_neighbour(sums, chosen):
    """The largest change of the un-noised sums when any one of the chosen pictures is taken away."""
    all_of_them = sums(chosen)
    return max(distance(all_of_them, sums(np.delete(chosen, left_out))) for left_out in range(len(chosen)))


# --- what is counted ---


def test_with_almost_no_noise_the_confusion_matrix_is_exact():
    pictures = two_pixels((200, 10, 0), (200, 10, 0), (200, 10, 1), (10, 200, 1))
    released = evaluate_privately(evaluation(), IDENTITY, pictures)
    assert released["confusion"] == pytest.approx(np.array([[2, 0], [1, 1]]), abs=1e-4)


def test_the_scores_are_counted_by_class_by_truth_and_by_probability():
    # Model values 1 and 0 give probabilities .731 and .269: of four bins the third and the second.
    pictures = two_pixels((192, 128, 0), (192, 128, 1), (128, 192, 1))
    scores = evaluate_privately(evaluation(score_bins=4), IDENTITY, pictures)["scores"]
    expected = np.zeros((2, 2, 4))
    expected[0, 1, 2] = 1  # the picture of class 0, at .731 for class 0
    expected[0, 0] = [0, 1, 1, 0]  # those of class 1, at .269 and .731
    expected[1, 1] = [0, 1, 1, 0]
    expected[1, 0, 1] = 1
    assert scores == pytest.approx(expected, abs=1e-4)


def test_a_probability_of_one_counts_in_the_last_bin_and_of_zero_in_the_first():
    certain = {"head.weight": np.array([[0, 1e6], [1e6, 0]], np.float32)}
    scores = evaluate_privately(evaluation(score_bins=5), certain, two_pixels((255, 128, 1)))["scores"]
    assert scores[1, 1] == pytest.approx([0, 0, 0, 0, 1], abs=1e-4)
    assert scores[0, 0] == pytest.approx([1, 0, 0, 0, 0], abs=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 64, 65_536])
def test_in_whatever_batches_the_counts_are_those_of_plain_prediction(batch):
    pictures, weights = drawn(CNN, 150), initial_weights(CNN, 1)
    plan = evaluation(CNN, score_bins=10, run=RunSpec("cpu", batch))
    counts = count_predictions(plan, weights, pictures, np.arange(150))
    probabilities = predict(CNN, weights, pictures.images)
    matrix = confusion_matrix(pictures.labels, probabilities.argmax(axis=1), 4)
    assert counts["confusion"].tolist() == matrix.tolist()
    for k in range(4):
        for own in (0, 1):
            share = probabilities[(pictures.labels == k) == own, k]
            assert counts["scores"][k, own].tolist() == np.histogram(share, 10, (0, 1))[0].tolist()


def test_statistics_are_sums_of_class_mean_and_mean_square():
    released = summarise_privately(statistics(), two_pixels((0, 255, 0), (255, 255, 1), (51, 51, 1)))
    assert released["class_counts"] == pytest.approx([1, 2], abs=1e-4)
    assert released["channel_sums"] == pytest.approx([0.5 + 1 + 0.2], abs=1e-4)
    assert released["channel_square_sums"] == pytest.approx([0.5 + 1 + 0.04], abs=1e-4)


def test_statistics_of_sixteen_bits_are_those_of_eight():
    pictures = drawn(CNN, 40)
    deep = replace(pictures, images=pictures.images.astype(np.uint16) * 257)
    for name, sums in sum_pictures(statistics((16, 16, 3), 4), pictures, np.arange(40)).items():
        assert sum_pictures(statistics((16, 16, 3), 4), deep, np.arange(40))[name] == pytest.approx(sums, rel=1e-12)


def test_statistics_are_those_of_numpy_channel_by_channel(monkeypatch):
    monkeypatch.setattr("datasites.training.releases.private_statistics._BLOCK_BYTES", 5000)  # several blocks
    pictures = drawn(CNN, 40)
    sums = sum_pictures(statistics((16, 16, 3), 4), pictures, np.arange(40))
    shares = pictures.images / 255
    assert sums["channel_sums"] == pytest.approx(shares.mean(axis=(1, 2)).sum(axis=0))
    assert sums["channel_square_sums"] == pytest.approx(np.square(shares).mean(axis=(1, 2)).sum(axis=0))


# --- one picture of each unit ---

MIXED = np.array([1, 2, 1, 0, 1, 2, 1, 1])


def test_a_patient_with_many_pictures_counts_once():
    pictures = two_pixels(*[(200, 10, 0)] * 5, (10, 200, 1), units=np.array([0, 0, 0, 0, 0, 1]))
    matrix = evaluate_privately(evaluation(), IDENTITY, pictures)["confusion"]
    assert matrix == pytest.approx(np.eye(2), abs=1e-4)
    counts = summarise_privately(statistics(), pictures)["class_counts"]
    assert counts == pytest.approx([1, 1], abs=1e-4)


def test_each_picture_of_a_patient_is_as_likely_as_its_others():
    generator = random()
    rows = np.array([one_picture_each(MIXED, generator) for _ in range(3000)])
    assert all((np.sort(MIXED[row]) == [0, 1, 2]).all() for row in rows[:100])
    counts = np.bincount(rows.ravel(), minlength=len(MIXED))
    assert counts[3] == 3000
    assert stats.chisquare(counts[MIXED == 1]).pvalue > 1e-3
    assert stats.chisquare(counts[MIXED == 2]).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_a_patients_picture_is_drawn_afresh_in_each_release(kind):
    pictures = two_pixels((200, 10, 0), (200, 10, 1), units=np.zeros(2, np.int64))
    seen = set()
    for _ in range(40):  # all alike with probability 2^-39
        if kind == "evaluation":
            seen.add(int(evaluate_privately(evaluation(), IDENTITY, pictures)["confusion"][0, 0].round()))
        else:
            seen.add(int(summarise_privately(statistics(), pictures)["class_counts"][0].round()))
    assert seen == {0, 1}


# --- what one unit can change ---


@pytest.mark.parametrize("bins", [0, 9])
@pytest.mark.parametrize("scale", [0.1, 1e5, 3e38], ids=str)
@pytest.mark.parametrize("spec", [TWO_PIXELS, CNN, MOBILENET], ids=lambda spec: spec.name)
def test_no_unit_changes_an_evaluation_by_more_than_its_sensitivity(spec, scale, bins):
    pictures, weights = drawn(spec, 6), hostile(spec, scale)
    plan = evaluation(spec, score_bins=bins, run=RunSpec("cpu", 4))
    change = farthest_neighbour(lambda chosen: count_predictions(plan, weights, pictures, chosen), np.arange(6))
    assert change == pytest.approx(plan.sensitivity)


def test_weights_of_which_nothing_finite_comes_still_count_each_picture_once():
    huge = {name: np.full_like(values, 3e38) for name, values in initial_weights(CNN, 1).items()}
    pictures = drawn(CNN, 20)
    assert not np.isfinite(predict(CNN, huge, pictures.images)).any()
    counts = count_predictions(evaluation(CNN, score_bins=3), huge, pictures, np.arange(20))
    assert counts["confusion"][:, 0].tolist() == np.bincount(pictures.labels, minlength=4).tolist()
    assert counts["confusion"].sum() == 20
    assert counts["scores"].sum(axis=(1, 2)).tolist() == [20] * 4
    assert counts["scores"][:, :, 0].sum() == 80


@pytest.mark.parametrize("seed", range(12))
def test_where_answers_hang_on_rounding_no_unit_changes_the_answer_for_another(seed):
    """Pictures of two equal halves under opposite weights: the exact logit is 0, its sign is that of the rounding.

    Computed in pairs and a remainder of one, as a plain loop would, the last picture's sign turns when one is left out.
    """
    spec = ModelSpec("linear", (2, 512, 1), 2, {"bias": False})
    generator = np.random.default_rng(seed)
    half = generator.standard_normal(512).astype(np.float32) * 1e4
    weights = {"head.weight": np.stack([np.concatenate([half, -half]), np.zeros(1024, np.float32)])}
    rows = generator.integers(0, 256, (7, 1, 512, 1), dtype=np.uint8)
    pictures = LabelledPictures(np.repeat(rows, 2, axis=1), np.zeros(7, np.int64), np.arange(7), 50)
    plan = evaluation(spec, run=RunSpec("cpu", 2))
    change = farthest_neighbour(lambda chosen: count_predictions(plan, weights, pictures, chosen), np.arange(7))
    assert change == 1


@pytest.mark.parametrize("pixels", ["drawn", "white", "black"])
def test_no_unit_changes_statistics_by_more_than_their_sensitivity(pixels):
    pictures = drawn(CNN, 12)
    if pixels != "drawn":
        pictures = replace(pictures, images=np.full_like(pictures.images, 255 if pixels == "white" else 0))
    plan = statistics((16, 16, 3), 4)
    change = farthest_neighbour(lambda chosen: sum_pictures(plan, pictures, chosen), np.arange(12))
    most = {"white": math.sqrt(7), "black": 1.0}
    assert change == pytest.approx(most[pixels]) if pixels in most else 1 < change < plan.sensitivity


@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_no_patient_changes_a_release_by_more_than_its_sensitivity(kind):
    """The whole release, at noise too small to matter, of patients whose own pictures are all alike."""
    patients = drawn(CNN, 8, seed=3)
    repeats = np.array([1, 2, 3, 40, 5, 1, 1, 7])

    def released(kept):
        rows = np.repeat(kept, repeats[kept])
        units = np.repeat(np.arange(len(kept)), repeats[kept])
        pictures = LabelledPictures(patients.images[rows], patients.labels[rows], units, 50)
        if kind == "statistics":
            return summarise_privately(plan, pictures)
        return evaluate_privately(plan, weights, pictures)

    weights = hostile(CNN, 1e30)
    quiet = ReleaseSpec(1e-9, 1e-5, "patient")
    plan = evaluation(CNN, quiet, 5) if kind == "evaluation" else statistics((16, 16, 3), 4, quiet)
    assert farthest_neighbour(released, np.arange(8)) <= plan.sensitivity * (1 + 1e-6)


# --- the noise ---


def noise_of(kind, multiplier, calls):
    """What the releases say beyond the exact sums, by name, in units of the noise that should be there."""
    spec = ModelSpec("linear", (1, 2, 3), 12)
    pictures, weights = drawn(spec, 30), initial_weights(spec, 1)
    privacy, generator = ReleaseSpec(multiplier, 1e-5), random(5)
    if kind == "evaluation":
        plan = evaluation(spec, privacy, 20)
        exact = count_predictions(plan, weights, pictures, np.arange(30))
        releases = [evaluate_privately(plan, weights, pictures, random=generator) for _ in range(calls)]
        spread = multiplier * math.sqrt(1 + 12)
    else:
        plan = statistics((1, 2, 3), 12, privacy)
        exact = sum_pictures(plan, pictures, np.arange(30))
        releases = [summarise_privately(plan, pictures, random=generator) for _ in range(calls)]
        spread = multiplier * math.sqrt(1 + 2 * 3)
    return {name: np.array([(r[name] - exact[name]) / spread for r in releases]).ravel() for name in exact}


@pytest.mark.parametrize(("kind", "calls"), [("evaluation", 15), ("statistics", 800)])
@pytest.mark.parametrize("multiplier", [0.7, 20.0])
def test_every_number_carries_the_noise_that_the_plan_declares(kind, calls, multiplier):
    for name, noise in noise_of(kind, multiplier, calls).items():
        assert noise.size >= 2000, name
        assert abs(noise.std() - 1) < 4 / math.sqrt(2 * noise.size), name
        assert stats.kstest(noise, "norm").pvalue > 1e-3, name
        assert len(np.unique(noise)) > 0.99 * noise.size, name


@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_two_releases_of_one_plan_share_no_noise_whatever_seeds_are_set(kind):
    pictures = drawn(CNN, 5)
    releases = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        if kind == "evaluation":
            plan = evaluation(CNN, ReleaseSpec(10, 1e-5), 10)
            releases.append(run_round(plan, 0, initial_weights(CNN, 1), pictures))
        else:
            releases.append(run_round(statistics((16, 16, 3), 4, ReleaseSpec(10, 1e-5)), 0, {}, pictures))
    for name, first in releases[0].items():
        assert not (first == releases[1][name]).any()


# --- what leaves ---


@pytest.mark.parametrize(
    "plan",
    [evaluation(CNN), evaluation(CNN, score_bins=200), evaluation(MOBILENET, score_bins=2), statistics((16, 16, 3), 4)],
    ids=lambda plan: f"{plan.kind}-{len(plan.outputs)}",
)
def test_a_release_is_exactly_the_declared_numbers(capfd, plan):
    spec = CNN if plan.kind == "statistics" else plan.model
    weights = {} if plan.kind == "statistics" else initial_weights(spec, 1)
    released = run_round(plan, 0, weights, drawn(spec, 6))
    assert {name: values.shape for name, values in released.items()} == plan.outputs
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in released.values())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("count", [1, 3, 150])
@pytest.mark.parametrize("kind", ["evaluation", "statistics"])
def test_progress_is_told_in_quarters_whatever_the_number_of_pictures(kind, count):
    told = []
    pictures = drawn(TWO_PIXELS, count)

    def progress(*numbers):
        told.append(numbers)

    if kind == "evaluation":
        run_round(evaluation(run=RunSpec("cpu", 8)), 0, IDENTITY, pictures, progress=progress)
    else:
        run_round(statistics(), 0, {}, pictures, progress=progress)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pictures_are_read_from_a_memory_map_and_left_alone(tmp_path):
    np.save(tmp_path / "images.npy", drawn(CNN, 10).images)
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    pictures = replace(drawn(CNN, 10), images=images)
    weights = initial_weights(CNN, 1)
    mapped = count_predictions(evaluation(CNN), weights, pictures, np.arange(10))
    assert distance(mapped, count_predictions(evaluation(CNN), weights, drawn(CNN, 10), np.arange(10))) == 0
    assert sum_pictures(statistics((16, 16, 3), 4), pictures, np.arange(10))["class_counts"].sum() == 10


# --- what is refused ---


@pytest.mark.parametrize(
    ("plan", "weights"),
    [
        (evaluation(), IDENTITY),
        (statistics(), {}),
    ],
    ids=["evaluation", "statistics"],
)
def test_a_plan_of_another_schema_is_refused_without_a_word_of_the_rows(plan, weights):
    with pytest.raises(PlanError, match="num_classes, 2") as refused:
        run_round(plan, 0, weights, two_pixels((1, 2, 0), (3, 4, 777)))
    assert "777" not in refused.value.public and "777" not in refused.value.private
    other_shape = LabelledPictures(np.zeros((1, 2, 2, 1), np.uint8), np.array([0]), np.array([0]), 50)
    with pytest.raises(PlanError, match=r"image_shape is \(1, 2, 1\)"):
        run_round(plan, 0, weights, other_shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    with pytest.raises(InputRefused, match="finite"):
        evaluate_privately(evaluation(), {"head.weight": np.full((2, 2), value, np.float32)}, two_pixels((1, 2, 0)))


def test_statistics_take_no_weights():
    with pytest.raises(InputRefused, match="no weights"):
        run_round(statistics(), 0, IDENTITY, two_pixels((1, 2, 0)))


@pytest.mark.parametrize("round_index", [-1, 2])
@pytest.mark.parametrize("plan", [evaluation(), statistics(rounds=2)], ids=["evaluation", "statistics"])
def test_a_round_outside_the_plan_is_refused(plan, round_index):
    with pytest.raises(RoundRefused, match="rounds 1 to 2"):
        run_round(plan, round_index, {}, two_pixels((1, 2, 0)))


def test_a_training_plan_is_trained():
    plan = TrainingPlan("study", "dataset", TWO_PIXELS, 1, 1, 1.0, 0.5, run=CPU)
    pictures, zero = two_pixels((192, 128, 0)), {"head.weight": np.zeros((2, 2), np.float32)}
    update = run_round(plan, 0, zero, pictures)
    assert update["head.weight"].tolist() == train_round(plan, 0, zero, pictures)["head.weight"].tolist()
    assert update["head.weight"].any()
