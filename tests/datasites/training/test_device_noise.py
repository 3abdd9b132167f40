"""Noise as a GPU makes it, computed on a processor here: the cipher to the last bit, the distribution, the keys."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from scipy import stats

from datasites.training.randomness import gaussian
from datasites.training.randomness.device_noise import keystream, normal
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import RunError


@pytest.mark.parametrize("key", [bytes(32), bytes(range(224, 256)), os.urandom(32)], ids=["zeros", "rising", "drawn"])
@pytest.mark.parametrize("first", [0, 5])
def test_the_keystream_is_that_of_chacha20(key, first):
    ours = keystream(key, 40, "cpu", first=first).T.contiguous().numpy().tobytes()
    cipher = Cipher(algorithms.ChaCha20(key, first.to_bytes(4, "little") + bytes(12)), mode=None).encryptor()
    assert ours == cipher.update(bytes(64 * 40))


@pytest.mark.parametrize("count", [0, 1, 7, 100_001])
def test_values_are_standard_normal_and_none_comes_twice(count):
    values = normal(bytes([count % 251]) * 32, count, "cpu")
    assert values.shape == (count,) and values.dtype == torch.float64
    assert len(values.unique()) == count
    if count > 1000:
        assert stats.kstest(values.numpy(), "norm").pvalue > 1e-3
        half = count // 2
        assert abs(np.corrcoef(values[:half], values[half : 2 * half])[0, 1]) < 5 / np.sqrt(half)
        assert int((values.abs() > 4).sum()) in range(0, 20)  # 6.3 expected


def test_a_key_is_taken_from_the_generator_once():
    random = SecureRandom.for_tests(1)
    first, second = random.fresh_key(), random.fresh_key()
    assert first != second and len(first) == 32
    following = SecureRandom.for_tests(1)
    following.fresh_key()
    assert following.fresh_key() == second


def test_a_forked_process_cannot_draw_the_same_key():
    random = SecureRandom()
    child = os.fork()
    if child == 0:
        try:
            random.fresh_key()
        except RunError:
            os._exit(17)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17


def test_sums_are_noised_on_a_lattice_there_too():
    random, spread, step = SecureRandom.for_tests(2), 0.7, 2.0**-33
    sums = torch.linspace(-1, 1, 50_000, dtype=torch.float64) * 1e-3 + 1e-13
    out = torch.empty(50_000)
    gaussian._add_on_device(sums, out, spread, step, random)
    values = out.double().numpy()
    assert stats.kstest((values - sums.numpy()) / spread, "norm").pvalue > 1e-3
    near = values[np.abs(values) < spread * 2**-9]
    assert len(near) > 20 and np.array_equal(near / step, np.rint(near / step))
