"""Intervals of a bootstrap: the same for the same seed, over patients, and wide where little is known."""

from __future__ import annotations

import numpy as np
import pytest

from policies.errors import DataError
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.measures import measures_of

DRAWS = Bootstrap(200, seed=3)


def _pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    sure = np.where(rng.random(count) < 0.8, labels, 1 - labels)
    return labels, np.stack([1 - (0.2 + 0.6 * sure), 0.2 + 0.6 * sure], axis=1)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    measures, units = measures_of(*_pictures(60)), np.arange(60)
    assert DRAWS.intervals(measures, units) == DRAWS.intervals(measures, units)
    assert DRAWS.intervals(measures, units) != Bootstrap(200, seed=4).intervals(measures, units)
    for found in DRAWS.intervals(measures, units).values():
        assert found is None or found.low <= found.value <= found.high


def test_patients_with_many_equal_pictures_widen_the_intervals() -> None:
    labels, probabilities = (np.repeat(values, 8, axis=0) for values in _pictures(30))
    measures = measures_of(labels, probabilities)
    by_picture = DRAWS.intervals(measures, np.arange(240))["accuracy", None]
    by_patient = DRAWS.intervals(measures, np.repeat(np.arange(30), 8))["accuracy", None]
    assert by_picture is not None and by_patient is not None
    assert by_patient.value == by_picture.value
    assert by_patient.high - by_patient.low > 1.8 * (by_picture.high - by_picture.low)
    alone = DRAWS.intervals(measures_of(*_pictures(30)), np.arange(30))["accuracy", None]
    assert alone == by_patient


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(1), 0
    for _ in range(60):
        right = rng.random(80) < 0.7
        probabilities = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
        found = DRAWS.intervals(measures_of(np.zeros(80, int), probabilities), np.arange(80))["accuracy", None]
        assert found is not None
        inside += found.low <= 0.7 <= found.high
    assert inside >= 51


def test_a_perfect_score_of_few_is_not_certain() -> None:
    labels = np.array([0] * 20 + [1] * 5)
    found = DRAWS.intervals(measures_of(labels, np.eye(2)[labels] * 0.8 + 0.1), np.arange(25))
    overall, few, area = found["accuracy", None], found["recall", 1], found["auroc", 1]
    assert overall is not None and few is not None and area is not None
    assert (overall.value, overall.high, few.value) == (1.0, 1.0, 1.0)
    assert overall.low == pytest.approx(0.025 ** (1 / 25))  # Clopper and Pearson, 25 of 25
    assert few.low == pytest.approx(0.025 ** (1 / 5)) == pytest.approx(area.low)


def test_of_one_picture_nothing_is_certain() -> None:
    found = DRAWS.intervals(measures_of(np.array([1]), np.array([[0.2, 0.8]])), np.arange(1))
    accuracy = found["accuracy", None]
    assert accuracy is not None and (accuracy.value, accuracy.low, accuracy.high) == (1.0, 0.0, 1.0)
    assert found["macro_auroc", None] is None and found["recall", 0] is None


@pytest.mark.parametrize("wrong", [{"draws": 3}, {"draws": 10**9}, {"seed": -1}])
def test_too_few_draws_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="must be"):
        Bootstrap(**wrong)
