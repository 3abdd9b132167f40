"""The generator behind sampling and noise: its distributions, against scipy, and whom it refuses to serve."""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from datasites.training.randomness import randomness
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import RunError

BLOCK = randomness._BLOCK


def test_uniform_values_fill_the_unit_interval_evenly():
    values = SecureRandom.for_tests(1).uniform(100_000)
    assert values.min() >= 0 and values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_normal_values_are_standard_normal_to_the_tails():
    values = SecureRandom.for_tests(2).normal((200_000,))
    assert stats.kstest(values, "norm").pvalue > 1e-3
    beyond_four = int((np.abs(values) > 4).sum())
    assert beyond_four in range(2, 28)  # 12.7 expected, Poisson: outside with probability 4e-4
    assert abs(float(stats.kurtosis(values))) < 0.06  # five standard errors of sqrt(24 / n)


def test_the_two_values_made_from_the_same_draws_are_independent():
    blocks = SecureRandom.for_tests(3).normal((32, BLOCK))
    first, second = blocks[:, : BLOCK // 2].ravel(), blocks[:, BLOCK // 2 :].ravel()
    bound = 5 / np.sqrt(first.size)
    assert abs(first.std() - 1) < bound and abs(second.std() - 1) < bound
    assert abs(np.corrcoef(first, second)[0, 1]) < bound
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < bound


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2 * BLOCK + 3,), (0, 4)])
def test_normal_values_have_the_shape_asked_for_and_none_twice(shape):
    values = SecureRandom.for_tests(4).normal(shape)
    assert values.shape == shape and values.dtype == np.float64
    assert len(np.unique(values)) == values.size


def test_bernoulli_hits_its_probability():
    hits = int(SecureRandom.for_tests(5).bernoulli(0.3, 100_000).sum())
    assert stats.binomtest(hits, 100_000, 0.3).pvalue > 1e-3


def test_bernoulli_of_one_is_always_true_and_of_zero_never():
    random = SecureRandom.for_tests(6)
    assert random.bernoulli(1.0, 1000).all() and not random.bernoulli(0.0, 1000).any()


def test_integers_are_uniform_below_each_bound():
    high = np.repeat(np.array([1, 2, 7]), 20_000)
    drawn = SecureRandom.for_tests(7).integers(high)
    assert (drawn >= 0).all() and (drawn < high).all()
    assert stats.chisquare(np.bincount(drawn[high == 7], minlength=7)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(drawn[high == 2], minlength=2)).pvalue > 1e-3


def test_two_generators_differ_even_under_the_same_seeds_elsewhere():
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        drawn.append(SecureRandom().normal((100,)))
    assert not np.intersect1d(drawn[0], drawn[1]).size


def test_the_generator_for_tests_repeats_by_seed():
    same = SecureRandom.for_tests(8).normal((9,)), SecureRandom.for_tests(8).normal((9,))
    assert np.array_equal(*same)
    assert not np.intersect1d(same[0], SecureRandom.for_tests(9).normal((9,))).size


def test_a_new_key_is_taken_before_the_keystream_ends(monkeypatch):
    one_key = SecureRandom.for_tests(10).uniform(16)
    monkeypatch.setattr(randomness, "_REKEY_BYTES", 64)
    random = SecureRandom.for_tests(10)
    parts = [random.uniform(8) for _ in range(4)]
    assert np.array_equal(parts[0], one_key[:8])
    assert not np.intersect1d(parts[1], one_key).size
    assert len(np.unique(np.concatenate(parts))) == 32


def test_a_generator_cannot_be_copied():
    with pytest.raises(TypeError):
        copy.deepcopy(SecureRandom())
    with pytest.raises(TypeError):
        pickle.dumps(SecureRandom())


def test_a_forked_process_cannot_draw_the_same_noise_again():
    random = SecureRandom()
    child = os.fork()
    if child == 0:
        try:
            random.normal((1,))
        except RunError:
            os._exit(17)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
