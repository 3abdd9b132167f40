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


def test_uniform_values_fill_the_unit_interval_evenly():
    values = SecureRandom.for_tests(1).uniform(100_000)
    assert values.min() >= 0 and values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-3


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
        drawn.append(SecureRandom().uniform(100))
    assert not np.intersect1d(drawn[0], drawn[1]).size


def test_the_generator_for_tests_repeats_by_seed():
    same = SecureRandom.for_tests(8).uniform(9), SecureRandom.for_tests(8).uniform(9)
    assert np.array_equal(*same)
    assert not np.intersect1d(same[0], SecureRandom.for_tests(9).uniform(9)).size


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
            random.noise(1.0)
        except RunError:
            os._exit(17)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
