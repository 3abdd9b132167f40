"""Randomness that decides who joins a step and how much noise is added. Its key never leaves the run.

A keystream of ChaCha20 under a key from the operating system. No seed in a plan, in other code or in torch's
global generator reaches it, so that nobody can make the noise predictable and subtract it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from policies.errors import RunError

_KEY_BYTES = 32
_NONCE_BYTES = 16
_BLOCK = 1 << 16  # values made at once: large enough to vectorise, small enough for the processor's cache
_REKEY_BYTES = 1 << 36  # below the 2^38 bytes after which ChaCha20's 32-bit block counter would repeat
_ZEROS = memoryview(bytes(_BLOCK * 8))


@dataclass(frozen=True)
class Noise:
    """What the noise of one sum is made of. A key that was used once is used up.

    Attributes:
        key: 32 bytes.
        spread: Standard deviation.
    """

    key: bytes
    spread: float


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
        """Makes a generator whose values anyone can predict. For tests and the audit alone; no plan reaches it.

        Args:
            seed: The same seed gives the same values.
        """
        random = cls.__new__(cls)
        random._start(hashlib.sha256(f"predictable, for tests only: {seed}".encode()).digest())
        return random

    def uniform(self, count: int) -> np.ndarray:
        """Returns float64, (count,), multiples of 2^-53 in [0, 1)."""
        out = np.empty(count)
        for start in range(0, count, _BLOCK):
            stop = min(start + _BLOCK, count)
            self._fill(out[start:stop])
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

    def noise(self, spread: float) -> Noise:
        """Returns what noise of standard deviation `spread` is made of, for one sum; with a key of its own.

        Args:
            spread: Standard deviation.
        """
        return Noise(self.fresh_key(), spread)

    def fresh_key(self) -> bytes:
        """Returns 32 bytes that are used for nothing else, to key the noise of one sum with."""
        return self._next_words(_KEY_BYTES // 8).tobytes()

    def _fill(self, out: np.ndarray) -> np.ndarray:
        """Fills float64 `out`, at most _BLOCK values, from [0, 1), and returns it."""
        words = self._next_words(out.size)
        np.right_shift(words, np.uint64(11), out=words)
        np.copyto(out, words.view("<i8"))
        return np.multiply(out, 2.0**-53, out=out)

    def _next_words(self, count: int) -> np.ndarray:
        """The keystream's next words of 64 bits, at most _BLOCK, in memory that the next call overwrites."""
        if os.getpid() != self._process:
            raise RunError("A random generator was used in another process than the one that keyed it.")
        size = 8 * count
        if self._used + size > _REKEY_BYTES:
            self._start(self._cipher.update(bytes(_KEY_BYTES)))
        self._used += size
        words = self._words[:count]
        self._cipher.update_into(_ZEROS[:size], words.view(np.uint8).data)
        return words

    def _start(self, key: bytes) -> None:
        """Begins a fresh keystream; a key is used once, so the nonce may be constant."""
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(_NONCE_BYTES)), mode=None).encryptor()
        self._used = 0
        self._process = os.getpid()
        self._words = np.empty(_BLOCK, dtype="<u8")
