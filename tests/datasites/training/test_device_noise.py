"""Noise as a GPU makes it, computed on a processor here: the cipher to the last bit, the distribution, the keys."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from scipy import stats

from datasites.training.randomness import gaussian, keyed_noise
from datasites.training.randomness.device_noise import DeviceKey, keystream, normal
from datasites.training.randomness.randomness import Noise, SecureRandom
from policies.errors import RunError


def words(key):
    return torch.frombuffer(bytearray(key), dtype=torch.int32)


def on_the_processor(key, count, threads):
    """The values in as many threads, and where its parts began."""
    values, starts, before = np.full(count, np.nan), [], torch.get_num_threads()

    def use(start, part, memory):
        starts.append(start)
        values[start : start + part.size] = part.reshape(-1)[: count - start]

    torch.set_num_threads(threads)
    try:
        keyed_noise.in_parts(key, count, use)
    finally:
        torch.set_num_threads(before)
    return values, starts


@pytest.mark.parametrize("key", [bytes(32), bytes(range(224, 256)), os.urandom(32)], ids=["zeros", "rising", "drawn"])
@pytest.mark.parametrize("first", [0, 5])
def test_the_keystream_is_that_of_chacha20(key, first):
    ours = keystream(words(key), 40, first=first).T.contiguous().numpy().tobytes()
    cipher = Cipher(algorithms.ChaCha20(key, first.to_bytes(4, "little") + bytes(12)), mode=None).encryptor()
    assert ours == cipher.update(bytes(64 * 40))


@pytest.mark.parametrize("count", [0, 1, 7, 100_001])
def test_values_are_standard_normal_and_none_comes_twice(count):
    values = normal(words(bytes([1 + count % 251]) * 32), count)
    assert values.shape == (count,) and values.dtype == torch.float64
    assert len(values.unique()) == count
    if count > 1000:
        assert stats.kstest(values.numpy(), "norm").pvalue > 1e-3
        half = count // 2
        assert abs(np.corrcoef(values[:half], values[half : 2 * half])[0, 1]) < 5 / np.sqrt(half)
        assert int((values.abs() > 4).sum()) in range(0, 20)  # 6.3 expected


@pytest.mark.parametrize("count", [0, 1, 1023, 1025, 70_001])
def test_a_processor_makes_the_values_that_a_device_makes_whatever_its_threads(count):
    key = os.urandom(32)
    one, two = on_the_processor(key, count, 1)[0], on_the_processor(key, count, 2)[0]
    assert np.array_equal(one, two)
    assert np.abs(one - normal(words(key), count).numpy()).max(initial=0) < 1e-14


@pytest.mark.parametrize("count", [1, 1025, 16_963, 70_001])
def test_values_do_not_hang_on_how_many_are_made(count):
    key = os.urandom(32)
    few, many = on_the_processor(key, count, 1)[0], on_the_processor(key, 3 * keyed_noise.MOST_AT_ONCE, 1)[0]
    assert np.array_equal(few, many[:count])


@pytest.mark.parametrize("spread", [1e-6, 0.7, 1.0, 3e4])
def test_a_processor_noises_sums_as_a_device_does(spread):
    key, step, count = os.urandom(32), gaussian.step_of(spread), 70_001
    sums, ours, theirs = (
        torch.linspace(-3, 3, count, dtype=torch.float64) * spread,
        torch.empty(count),
        torch.empty(count),
    )
    gaussian._add([sums], ours, Noise(key, spread), step)
    on_device = DeviceKey(torch.device("cpu"))
    on_device.renew(Noise(key, spread), step)
    on_device.add(sums, theirs)
    apart = (ours.double() - theirs.double()).abs()
    assert (apart <= step + theirs.double().abs() * 2.0**-23).all()  # a number that lies between two multiples
    assert (apart > 0).double().mean() < 1e-3


@pytest.mark.parametrize(("tiles", "threads", "parts"), [(1, 2, 1), (96, 1, 1), (97, 1, 2), (97, 2, 2), (480, 2, 6)])
def test_threads_share_what_is_large_in_parts_of_one_size(tiles, threads, parts):
    values, starts = on_the_processor(bytes(32), tiles * keyed_noise.TILE - 3, threads)
    assert np.isfinite(values).all() and len(starts) == len({*starts}) == parts
    sizes = np.diff([*sorted(starts), tiles * keyed_noise.TILE])
    assert set(sizes % keyed_noise.TILE) == {0} and sizes.max() - sizes.min() <= keyed_noise.TILE


def test_a_fault_in_a_part_is_told_whichever_thread_made_it():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for bad in range(4):

            def use(start, values, memory, bad=bad):
                if start == bad * keyed_noise.MOST_AT_ONCE:
                    raise ArithmeticError

            with pytest.raises(ArithmeticError):
                keyed_noise.in_parts(bytes(32), 4 * keyed_noise.MOST_AT_ONCE, use)
    finally:
        torch.set_num_threads(before)


def test_a_forked_process_has_threads_of_its_own():
    key, count = os.urandom(32), 3 * keyed_noise.MOST_AT_ONCE
    ours = on_the_processor(key, count, 2)[0]
    child = os.fork()
    if child == 0:
        os._exit(17 if np.array_equal(on_the_processor(key, count, 2)[0], ours) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17


def test_a_devices_values_do_not_hang_on_how_many_are_made_at_once():
    key = words(os.urandom(32))
    later = normal(key, 3000, first=2 * keyed_noise.BLOCKS)
    assert torch.equal(normal(key, 5048)[2 * keyed_noise.TILE :], later)


def test_a_key_on_a_device_gives_noise_once():
    key, out = DeviceKey(torch.device("cpu")), torch.empty(1000)
    key.add(torch.zeros(1000), out)
    assert out.isnan().all(), "there was no key yet"
    key.renew(Noise(os.urandom(32), 1.0), 2.0**-32)
    key.add(torch.zeros(1000), out)
    assert out.isfinite().all()
    key.add(torch.zeros(1000), out)
    assert out.isnan().all()


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
    gaussian._add_on_device([sums], out, random.noise(spread), step)
    values = out.double().numpy()
    assert stats.kstest((values - sums.numpy()) / spread, "norm").pvalue > 1e-3
    near = values[np.abs(values) < spread * 2**-9]
    assert len(near) > 20 and np.array_equal(near / step, np.rint(near / step))
