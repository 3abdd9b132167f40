"""The Gaussian mechanism in floating point: its spread, and that its last bits are those of a lattice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from datasites.training.randomness.gaussian import noised, noised_together
from datasites.training.randomness.randomness import SecureRandom


@pytest.mark.parametrize("spread", [1e-6, 0.7, 3e4])
def test_the_noise_is_normal_with_the_spread_asked_for(spread):
    found = noised(torch.zeros(200_003), spread, SecureRandom.for_tests(1)).double().numpy()
    assert stats.kstest(found / spread, "norm").pvalue > 1e-3


def test_the_sum_comes_through_the_noise():
    sums = torch.linspace(-5, 5, 70_000, dtype=torch.float64)
    found = noised(sums, 1e-3, SecureRandom.for_tests(2)).double()
    assert stats.kstest(((found - sums) / 1e-3).numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_every_result_is_a_multiple_of_a_step_that_depends_on_the_spread_alone(spread):
    step = 2.0 ** (np.floor(np.log2(spread)) - 32)
    sums = torch.linspace(-1e-3, 1e-3, 10_001, dtype=torch.float64) + np.pi * 1e-12
    # Results near zero, where float32 is finer than the step: there only the lattice can hide the last bits.
    found = noised(sums, spread, SecureRandom.for_tests(3)).double().numpy()
    near = found[np.abs(found) < spread * 2**-9]
    assert len(near) > 5 and np.array_equal(near / step, np.rint(near / step))


def test_sums_that_round_to_the_same_step_give_the_same_result():
    sums = torch.full((1000,), 0.25, dtype=torch.float64)
    moved = sums + 2.0**-36
    first, second = (noised(s, 1.0, SecureRandom.for_tests(4)) for s in (sums, moved))
    assert torch.equal(first, second)


@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (2, 3, 4)])
def test_the_result_has_the_shape_of_the_sums_and_is_float32(shape):
    found = noised(torch.zeros(shape, dtype=torch.float64), 1.0, SecureRandom.for_tests(5))
    assert found.shape == shape and found.dtype == torch.float32


def test_no_two_numbers_get_the_same_noise():
    found = noised(torch.zeros(300_000), 1.0, SecureRandom.for_tests(6)).numpy()
    repeats = len(found) - len(np.unique(found))
    assert repeats < 8000  # float32 has some 2^24 values within the spread: a few thousand meet by chance
    assert abs(np.corrcoef(found[: 1 << 16], found[1 << 16 : 2 << 16])[0, 1]) < 5 / 256
    beyond_four = int((np.abs(found) > 4).sum())
    assert beyond_four in range(3, 45)  # 19 expected, Poisson: outside with probability 1e-5
    for lag in (1, 128, 512, 1024):  # cosines and sines of the same pairs lie 128 values apart
        for one, other in ((found[:-lag], found[lag:]), (found[:-lag] ** 2, found[lag:] ** 2)):
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(one))


def test_the_sums_are_left_as_they_are():
    sums = torch.ones(100)
    noised(sums, 1.0, SecureRandom.for_tests(7))
    assert torch.equal(sums, torch.ones(100))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("threads", [1, 2])
def test_several_sums_get_the_noise_that_they_would_get_as_one(monkeypatch, dtype, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    sums = [torch.randn(shape, dtype=dtype) for shape in ((), (3, 5), (0,), (300, 400), (2, 1), (100_001,), (64,))]
    sums.append(torch.randn(70, 50, dtype=dtype).t())
    apart = noised_together(sums, 0.7, SecureRandom.for_tests(8))
    whole = noised(torch.cat([one.reshape(-1) for one in sums]), 0.7, SecureRandom.for_tests(8))
    assert [part.shape for part in apart] == [one.shape for one in sums]
    assert torch.equal(torch.cat([part.reshape(-1) for part in apart]), whole)


def test_no_sums_get_no_noise():
    assert noised_together([torch.zeros(0), torch.zeros(2, 0)], 1.0, SecureRandom.for_tests(9))[1].shape == (2, 0)
