"""Poisson sampling of privacy units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from datasites.training.pictures.sampler import poisson_steps
from datasites.training.pictures.unit_index import UnitIndex
from datasites.training.randomness.randomness import SecureRandom

ONE_EACH = np.arange(40)
# Unit 0 has one picture, unit 1 five, unit 2 two, in mixed order.
MIXED = np.array([1, 2, 1, 0, 1, 2, 1, 1])


def steps_of(units, sample_rate, steps, seed=1):
    random = SecureRandom.for_tests(seed)
    drawn = poisson_steps(units, sample_rate=sample_rate, steps=steps, random=random)
    return [batch[:, 0] for batch in drawn]


def test_every_unit_is_drawn_at_the_sample_rate():
    drawn = np.bincount(np.concatenate(steps_of(ONE_EACH, 0.2, 3000)), minlength=40)
    pvalues = [stats.binomtest(int(hits), 3000, 0.2).pvalue for hits in drawn]
    assert min(pvalues) > 1e-3 / 40


def test_an_index_names_the_pictures_of_each_unit():
    index = UnitIndex.of(MIXED)
    assert index.by_unit.tolist() == [3, 0, 2, 4, 6, 7, 1, 5]
    assert index.starts.tolist() == [0, 1, 6, 8]


def test_pictures_that_somebody_has_sorted_are_drawn_as_those_that_nobody_has():
    random = SecureRandom.for_tests(1)
    drawn = poisson_steps(MIXED, sample_rate=0.5, steps=50, random=random, index=UnitIndex.of(MIXED))
    for one, other in zip(drawn, steps_of(MIXED, 0.5, 50), strict=True):
        assert one[:, 0].tolist() == other.tolist()


def test_batch_sizes_vary_as_independent_draws_do():
    sizes = np.array([len(batch) for batch in steps_of(ONE_EACH, 0.2, 3000)])
    assert abs(sizes.mean() - 40 * 0.2) < 5 * np.sqrt(40 * 0.2 * 0.8 / 3000)
    assert abs(sizes.var() / (40 * 0.2 * 0.8) - 1) < 5 * np.sqrt(2 / 3000)


def test_the_number_of_pictures_of_a_unit_does_not_change_how_often_it_is_drawn():
    batches = steps_of(MIXED, 0.3, 4000)
    for unit in range(3):
        hits = sum(int((MIXED[batch] == unit).sum()) for batch in batches)
        assert stats.binomtest(hits, 4000, 0.3).pvalue > 1e-3


def test_a_drawn_unit_contributes_exactly_one_picture():
    for batch in steps_of(MIXED, 0.8, 500):
        assert len(np.unique(MIXED[batch])) == len(batch)


def test_each_picture_of_a_unit_is_as_likely_as_its_others():
    counts = np.bincount(np.concatenate(steps_of(MIXED, 1.0, 5000)), minlength=len(MIXED))
    assert counts[3] == 5000
    assert stats.chisquare(counts[MIXED == 1]).pvalue > 1e-3
    assert stats.chisquare(counts[MIXED == 2]).pvalue > 1e-3


def test_empty_steps_are_yielded_and_counted():
    batches = steps_of(np.arange(2), 0.01, 200)
    assert len(batches) == 200
    assert sum(len(batch) == 0 for batch in batches) > 150


@pytest.mark.parametrize("units", [ONE_EACH, MIXED])
def test_a_sample_rate_of_one_draws_every_unit_in_every_step(units):
    for batch in steps_of(units, 1.0, 3):
        assert sorted(units[batch]) == sorted(set(units))


def test_steps_are_drawn_independently():
    first, second = steps_of(np.arange(10_000), 0.5, 2)
    shared = len(np.intersect1d(first, second))
    assert stats.binomtest(shared, 10_000, 0.25).pvalue > 1e-3


def test_of_each_drawn_unit_as_many_pictures_are_looked_at_as_asked_for_and_none_twice_before_all():
    random = SecureRandom.for_tests(4)
    for batch in poisson_steps(MIXED, sample_rate=0.7, steps=300, random=random, pictures_each=4):
        for row in batch:
            own = np.flatnonzero(MIXED[row[0]] == MIXED)
            times = np.bincount(row, minlength=len(MIXED))[own]
            assert len(row) == 4 == times.sum() and np.ptp(times) <= 1


def test_each_set_of_a_units_pictures_is_as_likely_as_the_others():
    random = SecureRandom.for_tests(5)
    drawn = np.concatenate([*poisson_steps(MIXED, sample_rate=1.0, steps=4000, random=random, pictures_each=2)])
    pairs = np.sort(drawn[MIXED[drawn[:, 0]] == 1], axis=1)
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(counts) == 10 and stats.chisquare(counts).pvalue > 1e-3
