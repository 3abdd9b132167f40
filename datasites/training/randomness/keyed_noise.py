"""The normal values that a key stands for, made on a processor, in threads.

Value by value, they hang on the key alone: neither on how many are made, nor on the number of threads, nor on the
device, where `device_noise` makes the same ones. The keystream is ChaCha20 (RFC 8439) with nonce 0. A block of it, 16
words of 32 bits, gives four pairs of uniform values and so eight normal ones (Box and Muller, 1958); 128 blocks are a
tile, in which the first values of all pairs' blocks lie beside each other, then the second ones, and so on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

BLOCKS = 128
"""Of the keystream, in a tile."""
TILE = 8 * BLOCKS
"""Values of a tile."""
_TILES = 96  # made at once: few enough for a processor's cache; with fewer, threads wait for the interpreter's lock
MOST_AT_ONCE = _TILES * TILE
"""Values of a part."""
# Enciphered, it gives the keystream's words of 64 bits with their highest bit turned: as numbers with a sign, which
# processors turn into floating point at once, they are then less by 2^63 than without one.
_TURNED = memoryview(np.full(MOST_AT_ONCE, 1 << 63, dtype="<u8").tobytes())
_UPPER_53_BITS = np.uint64(2**64 - 2**11)
# From there to 1 - U and to angles: multiples of 2^11 up to 2^64, then of 2^-53 up to 1. The sum is exact,
# and so is the product with a power of two.
_BACK = np.array([[-(2.0**63)], [2.0**63]])
_UNIT = np.array([[-(2.0**-64)], [2.0 * np.pi * 2.0**-64]])

Use = Callable[[int, np.ndarray, np.ndarray], None]
"""Is given a part of the values: its first index; float64, (tiles, 4, 2, BLOCKS); and the memory that they lie in.

In row-major order these are the next tiles * TILE values, of which the last part may have more than were asked for. The
memory, float64, (2, tiles * TILE), has them in its first row, cosines before sines, and in its second one finite
numbers that nobody needs. Both are the part's until it returns."""


def in_parts(key: bytes, count: int, use: Use, *, spread: float = 1.0) -> None:
    """Makes normal values part by part, in as many threads as torch has.

    Args:
        key: 32 bytes that stand for these values alone.
        count: How many values, at most 2^34.
        use: Is called by several threads.
        spread: Standard deviation, whose square float64 holds.
    """
    tiles = math.ceil(count / TILE)
    parts = math.ceil(tiles / _TILES)
    threads = min(torch.get_num_threads(), parts)
    if threads < 1:
        return
    parts = math.ceil(parts / threads) * threads  # as many for each thread, and all as large
    ends = [tiles * part // parts for part in range(parts + 1)]
    queue = iter(list(pairwise(ends)))  # of which each thread takes the next; a list's iterator gives each to one alone
    if threads == 1:
        _make(key, spread, queue, use)
        return
    others = [_threads(threads - 1, os.getpid()).submit(_make, key, spread, queue, use) for _ in range(1, threads)]
    try:
        _make(key, spread, queue, use)
    finally:
        wait(others)
    for other in others:
        other.result()


@cache
def _threads(number: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for the next noise: to start one takes as long as it makes ten thousand values.

    Args:
        number: How many.
        process: Whose threads they are, since a fork has none of them.
    """
    del process
    return ThreadPoolExecutor(number, "noise")


def _make(key: bytes, spread: float, parts: Iterator[tuple[int, int]], use: Use) -> None:
    maker = _Maker(key, spread)
    for first, end in parts:
        use(first * TILE, *maker.values(first, end))


class _Maker:
    """Makes parts of a key's values, in memory that it keeps, and that so stays in the processor's cache."""

    def __init__(self, key: bytes, spread: float = 1.0) -> None:
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        self._square = -2.0 * spread**2
        self._memory = np.empty(2 * MOST_AT_ONCE)
        self._rooms: dict[int, _Room] = {}

    def values(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The values of tiles `first` to `end`, at most _TILES, and the memory that they lie in; see `Use`."""
        room = self._rooms.get(end - first) or self._rooms.setdefault(end - first, _Room(end - first, self._memory))
        self._cipher.reset_nonce((first * BLOCKS).to_bytes(4, "little") + bytes(12))
        self._cipher.update_into(room.turned, room.stream)
        np.bitwise_and(room.words, _UPPER_53_BITS, out=room.words)
        np.copyto(room.apart, room.signed)
        uniform, radius, values = room.uniform, room.radius, room.values
        np.multiply(np.add(uniform, _BACK, out=uniform), _UNIT, out=uniform)
        np.log(radius, out=radius)  # of 1 - U, which is never 0
        np.sqrt(np.multiply(radius, self._square, out=radius), out=radius)
        np.cos(room.angle, out=values[0])
        np.sin(room.angle, out=values[1])
        np.multiply(values, radius, out=values)
        return room.in_order, room.memory


class _Room:
    """A maker's memory as it is needed for so many tiles, looked up once: what Python does, one thread at a time can.

    Attributes:
        memory: float64, (2, tiles * TILE).
        turned: The cipher's input.
        stream: Bytes of the keystream; in the memory's first row, as `words` and later `values` are.
        words: uint64, (tiles * TILE,).
        signed: The same as int64, (2, tiles, 4, BLOCKS): which of a pair, tile, pair of a block, block.
        apart: float64, of the same shape; in the memory's second row, as those down to `angle` are.
        uniform: The same, (2, tiles * TILE / 2).
        radius: Its first row.
        angle: Its second row.
        values: float64, (2, tiles * TILE / 2), cosines and sines.
        in_order: The same, (tiles, 4, 2, BLOCKS).
    """

    def __init__(self, tiles: int, memory: np.ndarray) -> None:
        self.memory = memory[: 2 * tiles * TILE].reshape(2, -1)
        first, second = self.memory
        self.turned = _TURNED[: first.nbytes]
        self.stream = first.view(np.uint8).data
        self.words = first.view("<u8")
        self.signed = first.view("<i8").reshape(tiles, BLOCKS, 4, 2).transpose(3, 0, 2, 1)
        self.apart = second.reshape(2, tiles, 4, BLOCKS)
        self.uniform = second.reshape(2, -1)
        self.radius, self.angle = self.uniform
        self.values = first.reshape(2, -1)
        self.in_order = first.reshape(2, tiles, 4, BLOCKS).transpose(1, 2, 0, 3)
