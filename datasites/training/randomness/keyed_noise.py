"""The normal values that a key stands for, made on a processor, in threads.

Value by value, they hang on the key alone: neither on how many are made, nor on the number of threads, nor on the
device, where `device_noise` makes the same ones. The keystream is ChaCha20 (RFC 8439) with nonce 0. A block of it, 16
words of 32 bits, gives four pairs of uniform values and so eight normal ones (Box and Muller, 1958); 128 blocks are a
tile, in which the first values of all pairs' blocks lie beside each other, then the second ones, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

BLOCKS = 128
"""Of the keystream, in a tile."""
TILE = 8 * BLOCKS
"""Values of a tile."""
_TILES = 64  # made at once: few enough for a processor's cache; with fewer, threads wait for the interpreter's lock
_AT_ONCE = _TILES * TILE
_ZEROS = memoryview(bytes(8 * _AT_ONCE))


def in_parts(key: bytes, count: int, use: Callable[[int, np.ndarray], None]) -> None:
    """Makes standard normal values part by part, in as many threads as torch has.

    Args:
        key: 32 bytes that stand for these values alone.
        count: How many values, at most 2^34.
        use: Is given a part's first index and its values, float64, (values,), in memory that is the part's until it
            returns; is called by several threads.
    """
    starts = range(0, count, _AT_ONCE)
    threads = min(torch.get_num_threads(), len(starts))

    def work(first: int) -> None:
        maker = _Maker(key, min(_TILES, -(-count // TILE)))
        for start in starts[first::threads]:
            use(start, maker.values(start)[: count - start])

    if threads < 2:
        return work(0) if threads else None
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, first) for first in range(1, threads)]
        work(0)
    for other in others:
        other.result()
    return None


class _Maker:
    """Makes parts of a key's values, in memory that it keeps, and that so stays in the processor's cache."""

    def __init__(self, key: bytes, tiles: int) -> None:
        self._key = key
        self._words = np.empty((tiles, BLOCKS, 4, 2), dtype="<u8")
        self._pairs = np.empty((tiles, 4, BLOCKS), dtype=np.uint64)
        self._radius, self._angle = np.empty((tiles, 4, BLOCKS)), np.empty((tiles, 4, BLOCKS))
        self._values = np.empty((tiles, 4, 2, BLOCKS))

    def values(self, start: int) -> np.ndarray:
        """Float64, (tiles * TILE,), from the value `start` on, a multiple of `_AT_ONCE`."""
        counter = (start // 8).to_bytes(4, "little")
        cipher = Cipher(algorithms.ChaCha20(self._key, counter + bytes(12)), mode=None).encryptor()
        cipher.update_into(_ZEROS[: self._words.nbytes], self._words.view(np.uint8).reshape(-1).data)
        radius, angle, values = self._radius, self._angle, self._values
        self._take(0, radius)
        np.subtract(1.0, np.multiply(radius, 2.0**-53, out=radius), out=radius)  # 1 - U is never 0
        np.sqrt(np.multiply(np.log(radius, out=radius), -2.0, out=radius), out=radius)
        self._take(1, angle)
        np.multiply(angle, 2.0 * np.pi * 2.0**-53, out=angle)
        np.cos(angle, out=values[:, :, 0])
        np.sin(angle, out=values[:, :, 1])
        np.multiply(values, radius[:, :, None], out=values)
        return values.reshape(-1)

    def _take(self, which: int, out: np.ndarray) -> None:
        """The first or second uniform values of all pairs, as whole numbers below 2^53."""
        np.right_shift(self._words[..., which].transpose(0, 2, 1), np.uint64(11), out=self._pairs)
        np.copyto(out, self._pairs.view("<i8"))
