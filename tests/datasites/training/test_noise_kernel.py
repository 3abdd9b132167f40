"""The kernel of a GPU's noise, interpreted where there is none: the cipher, the values, the lattice, and used keys."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from support.triton_interpreter import DEVICE

from datasites.training.gpu import noise
from datasites.training.randomness import device_noise
from datasites.training.randomness.noise_kernel import agrees

SPREAD, STEP = 0.7, 2.0**-33
SETTINGS = torch.tensor([SPREAD / STEP, 1 / STEP, STEP], dtype=torch.float64, device=DEVICE)
# RFC 8439, appendix A.1, test vectors 1 and 2: the key and the nonce are zeros, the counter is 0 and 1.
FIRST = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
SECOND = "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"


def words(key: bytes) -> torch.Tensor:
    return torch.tensor(struct.unpack("<8i", key), dtype=torch.int32, device=DEVICE)


def noised(sums, key, kernel=noise.add):
    out = torch.empty(len(sums), device=DEVICE)
    kernel(sums.to(DEVICE), out, key, SETTINGS)
    return out.cpu()


def test_the_keystream_is_that_of_the_rfc():
    stream = noise.keystream(torch.zeros(8, dtype=torch.int32, device=DEVICE), 1).cpu().numpy()
    assert stream[0].tobytes().hex().startswith(FIRST) and stream[1].tobytes().hex().startswith(SECOND)


@pytest.mark.parametrize("first", [5, 2**31 - 300])
def test_the_keystream_is_that_of_the_library_under_any_key(first):
    key = os.urandom(32)
    theirs = Cipher(algorithms.ChaCha20(key, first.to_bytes(4, "little") + bytes(12)), mode=None).encryptor()
    assert noise.keystream(words(key), 1, first=first).cpu().numpy().tobytes() == theirs.update(bytes(64 * 128))


@pytest.mark.parametrize(("count", "kind"), [(1, torch.float32), (1500, torch.float64)])
def test_noised_sums_are_those_of_the_reference(count, kind):
    key, sums = words(os.urandom(32)), torch.linspace(-3, 3, count, dtype=kind)
    ours, reference = noised(sums, key).double(), noised(sums, key, device_noise.add).double()
    apart = (ours - reference).abs()
    assert (apart <= 2 * STEP + reference.abs() * 2.0**-23).all()
    assert int((apart > 0).sum()) <= 2  # where the last bit of a logarithm decides


def test_the_results_lie_on_the_lattice_and_hang_on_the_rounded_sums_alone():
    key = words(os.urandom(32))
    sums = torch.full((700,), 0.25, dtype=torch.float64)
    found = noised(sums, key)
    assert torch.equal(found, noised(sums + STEP / 16, key))
    assert torch.equal(found.double() / STEP, (found.double() / STEP).round())


def test_numbers_beyond_the_sums_are_left_alone():
    out = torch.full((800,), 7.0, device=DEVICE)
    noise.add(torch.zeros(700, dtype=torch.float64, device=DEVICE), out[:700], words(os.urandom(32)), SETTINGS)
    assert (out[700:] == 7.0).all() and not (out[:700] == 7.0).any()


def test_a_key_that_was_used_gives_no_number():
    key = words(os.urandom(32))
    assert noised(torch.zeros(700), key).isfinite().all()
    key.zero_()
    assert noised(torch.zeros(700), key).isnan().all()


def test_a_kernel_that_makes_other_noise_is_not_taken():
    device = torch.device(DEVICE)
    assert agrees(noise, device)

    class Weaker:
        keystream = staticmethod(noise.keystream)

        @staticmethod
        def add(sums, out, key, settings):
            noise.add(sums, out, key, settings * torch.tensor([0.999, 1, 1], dtype=torch.float64, device=DEVICE))

    class OtherCipher:
        add = staticmethod(noise.add)

        @staticmethod
        def keystream(key, tiles):
            return noise.keystream(key ^ 1, tiles)

    assert not agrees(Weaker, device) and not agrees(OtherCipher, device)


def test_values_are_as_far_from_each_other_as_normal_ones():
    values = device_noise.normal(words(os.urandom(32)), 100_001).cpu().numpy()
    for lag in (1, 128, 1024):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 5 / np.sqrt(len(values))
