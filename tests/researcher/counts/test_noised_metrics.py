"""Metrics of noised counts: right where there is no noise, and as uncertain as the noise makes them where there is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from datasites.training import metrics
from datasites.training.jobs import run_round
from datasites.training.pictures.data import LabelledPictures
from policies.errors import DataError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, RunSpec
from researcher.counts.intervals import Interval, share_interval
from researcher.counts.noised_metrics import NoisedAuroc, NoisedMetrics, auroc_of, metrics_of, summed_noise
from researcher.counts.noised_statistics import ClassStatistics, statistics_of

EVERYTHING = Interval(0.5, 0.0, 1.0)
# True probabilities of (true class, predicted class) in the simulations; rows add up to .4, .3, .2 and .1.
JOINT = np.array(
    [[0.35, 0.03, 0.01, 0.01], [0.05, 0.2, 0.04, 0.01], [0.01, 0.02, 0.15, 0.02], [0.01, 0.01, 0.01, 0.07]]
)


def intervals(result: NoisedMetrics | NoisedAuroc | ClassStatistics) -> list[Interval]:
    found: list[Interval] = []
    for value in vars(result).values():
        found += [value] if isinstance(value, Interval) else value
    return found


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def width(interval: Interval) -> float:
    return interval.high - interval.low


# --- without noise ---


def test_without_noise_the_values_are_those_of_the_plain_matrix() -> None:
    matrix = np.array([[50, 3, 2], [4, 30, 6], [1, 0, 9]])
    found = metrics_of(matrix, noise_std=0)
    assert found.accuracy.value == pytest.approx(metrics.accuracy(matrix))
    assert found.macro_f1.value == pytest.approx(metrics.macro_f1(matrix))
    assert [share.value for share in found.recall] == pytest.approx(list(metrics.recall_per_class(matrix)))
    assert found.count == Interval(105, 105, 105)


def test_values_that_can_be_worked_out_by_hand() -> None:
    found = metrics_of(np.array([[2, 0], [1, 1]]), noise_std=0)
    assert found.accuracy.value == 3 / 4
    assert found.macro_f1.value == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert [share.value for share in found.recall] == [1, 1 / 2]


@pytest.mark.parametrize(("right", "total"), [(8, 10), (0, 7), (7, 7), (1, 1), (930, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_without_noise_the_interval_of_a_share_is_wilsons(right: int, total: int, level: float) -> None:
    matrix = np.array([[right, total - right], [0, 0]])
    expected = stats.binomtest(right, total).proportion_ci(level, method="wilson")
    found = metrics_of(matrix, noise_std=0, level=level)
    for interval in (found.accuracy, found.recall[0]):
        assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_a_class_without_pictures_has_any_recall_and_any_part_in_macro_f1() -> None:
    found = metrics_of(np.array([[100, 0, 0], [0, 100, 0], [0, 0, 0]]), noise_std=0)
    assert found.recall[2] == EVERYTHING
    assert found.macro_f1.value == 1  # of the two that occur
    assert 0.6 < found.macro_f1.low < 2 / 3 and found.macro_f1.high == 1


def test_the_area_under_the_curve_can_be_counted_in_pairs() -> None:
    # Own pictures in bins 1 and 2, others in 0 and 1: of four pairs three are won and one is a tie.
    first = [[1, 1, 0], [0, 1, 1]]
    second = [[2, 0, 0], [0, 0, 3]]
    found = auroc_of(np.array([first, second]), noise_std=0)
    assert [area.value for area in found.per_class] == pytest.approx([3.5 / 4, 1])
    assert found.macro.value == pytest.approx((3.5 / 4 + 1) / 2)


def test_statistics_that_can_be_worked_out_by_hand() -> None:
    # Two units, one channel: one all black, the other all white.
    released = {"class_counts": [0, 2], "channel_sums": [1], "channel_square_sums": [1]}
    found = statistics_of({name: np.array(values) for name, values in released.items()}, noise_std=0)
    assert found.class_counts == (Interval(0, 0, 0), Interval(2, 2, 2))
    assert found.channel_mean == (Interval(0.5, 0.5, 0.5),)
    assert found.channel_std == (Interval(0.5, 0.5, 0.5),)


# --- with noise ---


def test_the_noise_of_hospitals_adds_up_in_squares() -> None:
    assert summed_noise([7.0] * 4) == pytest.approx(14)
    assert summed_noise([3.0, 4.0]) == 5


def test_a_share_of_very_many_pictures_is_as_uncertain_as_its_noise() -> None:
    # Of 10^10 pictures the sampling is nothing; the spread of (hits - others) / 2 is sqrt(2) / 2 * 10^7.
    interval = share_interval(5e9, 5e9, hit_spread=1e7, other_spread=1e7, z=2)
    assert width(interval) == pytest.approx(2 * 2 * 1e7 / math.sqrt(2) / 1e10, rel=1e-3)


@pytest.mark.parametrize("noise", [0, 5, 15, 40])
def test_more_noise_makes_every_interval_wider(noise: float) -> None:
    matrix, more = 1000 * JOINT, noise + 10
    quiet, loud = (metrics_of(matrix, noise_std=each) for each in (noise, more))
    assert all(width(a) < width(b) or width(a) == 1 for a, b in zip(intervals(quiet), intervals(loud), strict=True))


def test_the_same_counts_and_seed_give_the_same_intervals() -> None:
    matrix = 1000 * JOINT
    assert metrics_of(matrix, noise_std=9) == metrics_of(matrix, noise_std=9)
    assert metrics_of(matrix, noise_std=9).macro_f1 != metrics_of(matrix, noise_std=9, seed=1).macro_f1


def test_many_classes_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = metrics_of(1000 * JOINT, noise_std=9, draws=300)
    monkeypatch.setattr("researcher.counts.intervals._DRAWN_AT_ONCE", 16 * 70)
    parts = metrics_of(1000 * JOINT, noise_std=9, draws=300)
    assert parts.macro_f1.value == whole.macro_f1.value
    assert parts.macro_f1.low == pytest.approx(whole.macro_f1.low, abs=0.03)


@pytest.mark.parametrize(("units", "noise"), [(1000, 0), (1000, 10), (1000, 30), (150, 10)])
def test_the_intervals_cover_the_truth_as_often_as_they_say(units: int, noise: float) -> None:
    generator = np.random.default_rng(1)
    hits, wholes = np.diagonal(JOINT), JOINT.sum(axis=0) + JOINT.sum(axis=1)
    truth = {"accuracy": hits.sum(), "macro_f1": (2 * hits / wholes).mean(), "count": units}
    covered = dict.fromkeys((*truth, "recall"), 0)
    for seed in range(200):
        drawn = generator.multinomial(units, JOINT.ravel()).reshape(4, 4)
        found = metrics_of(drawn + noise * generator.standard_normal((4, 4)), noise_std=noise, draws=200, seed=seed)
        covered["recall"] += covers(found.recall[3], 0.7)
        for name, value in truth.items():
            covered[name] += covers(getattr(found, name), value)
    assert min(covered.values()) >= 0.88 * 200, covered


def test_classes_that_are_readable_by_luck_do_not_make_the_interval_too_narrow() -> None:
    """Nine classes whose counts are just about as large as the noise lets through; recall is .97 in each."""
    generator, joint = np.random.default_rng(6), (np.full((9, 9), 0.03 / 8) + np.eye(9) * (0.97 - 0.03 / 8)) / 9
    covered = 0
    for seed in range(200):
        drawn = generator.multinomial(1500, joint.ravel()).reshape(9, 9)
        found = metrics_of(drawn + 20 * generator.standard_normal((9, 9)), noise_std=20, draws=100, seed=seed)
        covered += covers(found.macro_f1, 0.97)
    assert covered >= 0.88 * 200, covered


def test_the_intervals_are_not_wide_for_nothing() -> None:
    """At 1000 units, sampling alone gives accuracy a 95 % interval of 2 * 1.96 * sqrt(.77 * .23 / 1000) = .052."""
    assert width(metrics_of(1000 * JOINT, noise_std=0).accuracy) == pytest.approx(0.052, abs=0.001)
    assert width(metrics_of(1000 * JOINT, noise_std=0).macro_f1) < 0.08
    # Noise of 10 a cell: that of .23 hits less .77 misses is 10 * sqrt(4 * .23^2 + 12 * .77^2) = 27 units.
    assert width(metrics_of(1000 * JOINT, noise_std=10).accuracy) == pytest.approx(
        2 * 1.96 * math.hypot(27 / 1000, 0.0133), abs=0.003
    )
    assert width(metrics_of(1000 * JOINT, noise_std=10).macro_f1) < 0.3


@pytest.mark.parametrize(("units", "noise"), [(600, 0), (600, 3), (1500, 12), (600, 12)])
def test_the_intervals_of_the_area_cover_the_truth_as_often_as_they_say(units: int, noise: float) -> None:
    """Scores in 8 bins: the class's own pictures in bin b with probability (b + 1) / 36, others the other way round."""
    bins, generator = 8, np.random.default_rng(2)
    own = np.arange(1, bins + 1) / 36
    others = own[::-1]
    truth = float((own * (np.cumsum(others) - others / 2)).sum())
    joint = np.array([[others * 2 / 3, own / 3]] * 3)  # three classes, each a third of the pictures
    covered, covered_macro = 0, 0
    for seed in range(200):
        drawn = np.array([generator.multinomial(units, each.ravel()).reshape(2, bins) for each in joint])
        noised = drawn + noise * generator.standard_normal(drawn.shape)
        found = auroc_of(noised, noise_std=noise, draws=200, seed=seed)
        covered += covers(found.per_class[0], truth)
        covered_macro += covers(found.macro, truth)
    assert min(covered, covered_macro) >= 0.88 * 200, (covered, covered_macro)


@pytest.mark.parametrize(("units", "noise"), [(1000, 10), (200, 15)])
def test_the_intervals_of_statistics_cover_the_hospitals_own_numbers(units: int, noise: float) -> None:
    generator = np.random.default_rng(3)
    counts = np.array([units * 3 // 4, units // 4])
    means = generator.uniform(0.2, 0.6, (units, 2))
    sums, squares = means.sum(axis=0), (means**2 + 0.04).sum(axis=0)
    deviation = math.sqrt(squares[1] / units - (sums[1] / units) ** 2)
    truth = {"class_counts": counts[1], "channel_mean": sums[1] / units, "channel_std": deviation}
    covered = dict.fromkeys(truth, 0)
    for seed in range(200):
        exact = {"class_counts": counts, "channel_sums": sums, "channel_square_sums": squares}
        released = {name: values + noise * generator.standard_normal(2) for name, values in exact.items()}
        found = statistics_of(released, noise_std=noise, draws=200, seed=seed)
        for name, value in truth.items():
            covered[name] += covers(getattr(found, name)[1], value)
    assert min(covered.values()) >= 0.88 * 200, covered


# --- where nothing can be read ---

HOPELESS = {
    "all noise": 1e4 * np.random.default_rng(4).standard_normal((3, 3)),
    "zeros": np.zeros((3, 3)),
    "negative": np.full((3, 3), -7.0),
    "almost nothing": np.full((3, 3), 1e-300),
    "enormous": np.full((3, 3), 1e15),
}


@pytest.mark.parametrize("noise", [0, 1e-9, 1e4, 1e15])
@pytest.mark.parametrize("matrix", HOPELESS.values(), ids=list(HOPELESS))
def test_whatever_is_released_every_interval_is_one(matrix: np.ndarray, noise: float) -> None:
    vector = np.abs(matrix[0])
    released = {"class_counts": matrix[0], "channel_sums": vector, "channel_square_sums": matrix[1]}
    statistics = statistics_of(released, noise_std=noise, draws=100)
    scores = np.stack([matrix[:2], matrix[1:]])
    found = [metrics_of(matrix, noise_std=noise, draws=100), auroc_of(scores, noise_std=noise, draws=100)]
    for interval in [*intervals(found[0]), *intervals(found[1]), *intervals(statistics)]:
        assert 0 <= interval.low <= interval.value <= interval.high < math.inf
    for interval in [found[0].accuracy, found[0].macro_f1, *found[0].recall, *intervals(found[1])]:
        assert interval.high <= 1
    assert all(interval.high <= 0.5 for interval in statistics.channel_std)


def test_where_the_noise_hides_everything_the_intervals_are_the_whole_range() -> None:
    generator = np.random.default_rng(5)
    whole = 0
    for _ in range(100):
        found = metrics_of(100 * JOINT + 1000 * generator.standard_normal((4, 4)), noise_std=1000, draws=100)
        whole += width(found.accuracy) > 0.9
        assert found.macro_f1 == EVERYTHING
    assert whole >= 85
    released = {name: np.full(3, 10.0) for name in ("class_counts", "channel_sums", "channel_square_sums")}
    hidden = statistics_of(released, noise_std=1000)
    assert hidden.channel_mean == (EVERYTHING,) * 3
    assert hidden.channel_std == (Interval(0.25, 0.0, 0.5),) * 3
    assert auroc_of(np.full((3, 2, 4), 10.0), noise_std=1000).macro == EVERYTHING


# --- what was really released ---


def test_what_hospitals_release_is_read_as_what_they_hold() -> None:
    """Two hospitals of 400 pictures of two pixels. The model names the brighter one, and is right on 3 of 4."""
    model = ModelSpec("linear", (1, 2, 1), 2, {"bias": False})
    weights = {"head.weight": np.eye(2, dtype=np.float32)}
    bright = np.array([[[200], [100]]], np.uint8)
    images = np.concatenate([np.stack([bright] * 200), np.stack([bright[:, ::-1]] * 200)])
    labels = np.repeat([0, 1, 1, 1], 100)
    hospital = LabelledPictures(images, labels, np.arange(400), public_size=400)
    noise, run = ReleaseSpec(2.0, 1e-5), RunSpec("cpu")
    plan = EvaluationPlan("study", "dataset", model, 1, noise, score_bins=4, run=run)
    both = [run_round(plan, 0, weights, hospital) for _ in range(2)]
    summed = {name: both[0][name] + both[1][name] for name in plan.outputs}
    noise_std = summed_noise([noise.noise_multiplier * plan.sensitivity] * 2)
    assert noise_std == pytest.approx(2 * math.sqrt(3) * math.sqrt(2))
    # An interval at 1 - 1e-6 is wrong once in a million runs.
    found = metrics_of(summed["confusion"], noise_std=noise_std, level=1 - 1e-6)
    assert covers(found.accuracy, 0.75) and width(found.accuracy) < 0.25
    assert covers(found.recall[0], 1) and covers(found.recall[1], 2 / 3) and covers(found.count, 800)
    # Of class 1, two thirds score higher than all, one third as high as class 0's pictures.
    area = auroc_of(summed["scores"], noise_std=noise_std, level=1 - 1e-4).per_class[1]
    assert area.value == pytest.approx(2 / 3 + 1 / 6, abs=0.1)
    question = StatisticsPlan("study", "dataset", (1, 2, 1), 2, noise, run=run)
    released = run_round(question, 0, {}, hospital)
    seen = statistics_of(released, noise_std=noise.noise_multiplier * question.sensitivity, level=1 - 1e-6)
    assert covers(seen.class_counts[0], 100) and covers(seen.class_counts[1], 300)
    assert covers(seen.channel_mean[0], 150 / 255) and seen.channel_mean[0].value == pytest.approx(150 / 255, abs=0.1)


# --- what is refused ---


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((2, 3)),
        np.zeros((1, 1)),
        np.zeros(4),
        np.zeros((0, 0)),
        np.zeros((2, 2, 2)),
        np.array([[1, math.nan], [0, 1]]),
        np.array([[1, math.inf], [0, 1]]),
        np.full((2, 2), 2e15),
        np.array([["1", "2"], ["3", "4"]]),
        np.ones((2, 2), bool),
    ],
    ids=lambda matrix: f"{matrix.dtype}{matrix.shape}",
)
def test_what_is_no_confusion_matrix_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(DataError, match="confusion"):
        metrics_of(matrix, noise_std=1)


@pytest.mark.parametrize("shape", [(3, 1, 4), (3, 2), (1, 2, 4), (3, 2, 1), (3, 2, 0)])
def test_what_are_no_score_histograms_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="scores"):
        auroc_of(np.zeros(shape), noise_std=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_counts": np.zeros((2, 2))}, "class_counts"),
        ({"channel_sums": np.array([math.nan])}, "channel_sums"),
        ({"channel_sums": np.zeros(2)}, "same channels"),
        ({"channel_square_sums": None}, "exactly"),
        ({"extra": np.zeros(1)}, "exactly"),
    ],
)
def test_what_are_no_statistics_is_refused(change: dict[str, Any], message: str) -> None:
    released = {"class_counts": np.ones(2), "channel_sums": np.ones(1), "channel_square_sums": np.ones(1), **change}
    given = {name: values for name, values in released.items() if values is not None}
    with pytest.raises(DataError, match=message):
        statistics_of(given, noise_std=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"noise_std": -1},
        {"noise_std": math.nan},
        {"noise_std": math.inf},
        {"noise_std": 1, "level": 0},
        {"noise_std": 1, "level": 1},
        {"noise_std": 1, "level": math.nan},
        {"noise_std": 1, "draws": 99},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_by_its_name(settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=list(settings)[-1]):
        metrics_of(np.ones((2, 2)), **settings)
