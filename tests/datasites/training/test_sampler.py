"""Sampling of privacy units: Poisson's, and random allocation over the steps of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from datasites.training.pictures.sampler import allocated_steps, poisson_steps
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


# --- random allocation ----------------------------------------------------------------------------------------


def allocated(units, steps_of_epoch, steps, seed=1, **form):
    random = SecureRandom.for_tests(seed)
    return list(allocated_steps(units, steps_of_epoch=steps_of_epoch, steps=steps, random=random, **form))


def test_every_unit_is_in_exactly_one_step_of_each_epoch():
    batches = allocated(MIXED, 4, 400)
    assert len(batches) == 400
    for first in range(0, 400, 4):
        joined = np.concatenate([MIXED[batch[:, 0]] for batch in batches[first : first + 4]])
        assert sorted(joined) == [0, 1, 2]


def test_each_step_of_an_epoch_is_as_likely_for_every_unit():
    epochs, counts = 2000, np.zeros((40, 5))
    for number, batch in enumerate(allocated(ONE_EACH, 5, 5 * epochs)):
        counts[batch[:, 0], number % 5] += 1
    assert counts.sum(axis=1).tolist() == [epochs] * 40
    assert min(stats.chisquare(row).pvalue for row in counts) > 1e-3 / 40


def test_units_and_epochs_are_allocated_independently():
    units = np.arange(10_000)
    batches = [set(batch[:, 0].tolist()) for batch in allocated(units, 2, 4)]
    assert stats.binomtest(len(batches[0] & batches[2]), 10_000, 0.25).pvalue > 1e-3
    sizes = np.array([len(batch) for batch in allocated(ONE_EACH, 5, 5 * 2000)][::5])
    assert abs(sizes.var() / (40 * 0.2 * 0.8) - 1) < 5 * np.sqrt(2 / 2000), "each step is as large as Poisson's"
    neighbours = np.array([[0 in batch, 1 in batch] for batch in allocated(ONE_EACH, 2, 4000)][::2])
    assert stats.binomtest(int((neighbours[:, 0] == neighbours[:, 1]).sum()), 2000, 0.5).pvalue > 1e-3


def test_an_allocated_unit_has_as_many_of_its_pictures_looked_at_as_asked_for():
    for batch in allocated(MIXED, 2, 200, pictures_each=3):
        assert batch.shape[1] == 3
        assert all(len(set(MIXED[row])) == 1 for row in batch)


def test_a_part_of_an_epoch_is_refused():
    with pytest.raises(ValueError, match="no whole epochs of 4"):
        allocated(MIXED, 4, 6)
