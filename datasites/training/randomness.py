"""Randomness that decides who joins a step and how much noise is added. Its key never leaves the run.

A keystream of ChaCha20 under a key from the operating system. No seed in a plan, in other code or in torch's
global generator reaches it, so that nobody can make the noise predictable and subtract it.
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from policies.errors import RunError

_KEY_BYTES = 32
_NONCE_BYTES = 16
_BLOCK = 1 << 14  # values made at once: large enough to vectorise, small enough for the processor's cache
_REKEY_BYTES = 1 << 36  # below the 2^38 bytes after which ChaCha20's 32-bit block counter would repeat
_ZEROS = bytes(_BLOCK * 32)


class SecureRandom:
    """A cryptographic generator that belongs to one process.

    It cannot be copied, pickled or used after a fork: two holders of one keystream would add the same noise
    twice.

    Guarantees:
        Keyed with 256 bits from the operating system. Every value comes from keystream that is used once.
    """

    def __init__(self) -> None:
        self._start(os.urandom(_KEY_BYTES))

    @classmethod
    def for_tests(cls, seed: int) -> Self:
        """A generator whose values anyone can predict. For tests and the audit alone; no plan reaches it."""
        random = cls.__new__(cls)
        random._start(hashlib.sha256(f"predictable, for tests only: {seed}".encode()).digest())
        return random

    def uniform(self, count: int) -> np.ndarray:
        """Returns float64, (count,), multiples of 2^-53 in [0, 1)."""
        out = np.empty(count)
        for start in range(0, count, _BLOCK):
            stop = min(start + _BLOCK, count)
            out[start:stop] = self._uniform_block(stop - start)
        return out

    def bernoulli(self, probability: float, count: int) -> np.ndarray:
        """Returns bool, (count,), each True with `probability` independently of the others."""
        return self.uniform(count) < probability

    def integers(self, high: np.ndarray) -> np.ndarray:
        """Returns int64 of the shape of `high`, each uniform on 0 .. high - 1 (to within high / 2^53).

        Args:
            high: int64, each at least 1.
        """
        drawn = np.floor(self.uniform(high.size).reshape(high.shape) * high).astype(np.int64)
        return np.minimum(drawn, high - 1)

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Returns float64 of `shape`, independent standard normal values.

        Guarantees:
            Each value is half the sum of four independent Box-Muller draws from four different pairs, so that
            the gaps between floating-point numbers give no value away (Holohan and Braghin, "Secure Random
            Sampling in Differential Privacy", ESORICS 2021).
        """
        count = math.prod(shape)
        out = np.empty(count + count % 2)
        for start in range(0, out.size, _BLOCK):
            block = out[start : start + _BLOCK]
            half = block.size // 2
            radius = np.sqrt(-2.0 * np.log(1.0 - self._uniform_block(4 * half))).reshape(4, half)
            angle = (2.0 * np.pi * self._uniform_block(4 * half)).reshape(4, half)
            cosines, sines = radius * np.cos(angle), radius * np.sin(angle)
            block[:half] = (cosines[0] + sines[1] + cosines[2] + sines[3]) / 2
            block[half:] = (sines[0] + cosines[1] + sines[2] + cosines[3]) / 2
        return out[:count].reshape(shape)

    def _uniform_block(self, count: int) -> np.ndarray:
        """Float64 in [0, 1), for a count of at most 4 * _BLOCK values."""
        if os.getpid() != self._process:
            raise RunError("A random generator was used in another process than the one that keyed it.")
        size = 8 * count
        if self._used + size > _REKEY_BYTES:
            self._start(self._cipher.update(bytes(_KEY_BYTES)))
        self._used += size
        words = np.frombuffer(self._cipher.update(_ZEROS[:size]), dtype="<u8")
        return (words >> np.uint64(11)) * 2.0**-53

    def _start(self, key: bytes) -> None:
        """Begins a fresh keystream; a key is used once, so the nonce may be constant."""
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(_NONCE_BYTES)), mode=None).encryptor()
        self._used = 0
        self._process = os.getpid()
