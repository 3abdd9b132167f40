"""Huffman codes of a JPEG, found at every bit at once: which of them count follows from the first one's place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AHEAD = 8
"""Zero bytes behind a part, so that bits can be looked up to its end."""
_LONGEST = 16


class HuffmanTable:
    """A table of codes of up to 16 bits.

    Attributes:
        lengths: uint8, (65536,), bits of the code that 16 bits begin with; 0 where none does.
        symbols: uint8, (65536,), what it means.
        steps: uint8, (65536,), bits of the code and of the value behind it, whose length is the symbol's low half.

    Args:
        counts: How many codes have 1, 2, ... 16 bits.
        symbols: What they mean, in their order.

    Raises:
        ValueError: There are more codes than bits can tell apart, or fewer symbols than codes.
    """

    def __init__(self, counts: Sequence[int], symbols: Sequence[int]) -> None:
        self.lengths, self.symbols = (np.zeros(1 << _LONGEST, dtype=np.uint8) for _ in range(2))
        if len(counts) != _LONGEST or len(symbols) != sum(counts):
            raise ValueError("a table of codes is cut short")
        first, used = 0, 0
        for length, count in enumerate(counts, start=1):
            width = 1 << (_LONGEST - length)
            for symbol in symbols[used : used + count]:
                if first + width > 1 << _LONGEST:
                    raise ValueError("a table has too many codes")
                self.lengths[first : first + width] = length
                self.symbols[first : first + width] = symbol
                first += width
            used += count
        self.steps = self.lengths + (self.symbols & 15)


def sixteen_bits(padded: NDArray[np.uint8], first: int, count: int) -> NDArray[np.uint32]:
    """uint32, (count * 8,), the 16 bits from each bit of `count` bytes on.

    Args:
        padded: uint8, (N + AHEAD,), a part.
        first: The first byte.
        count: How many there are.
    """
    ahead = [padded[first + more : first + more + count].astype(np.uint32) for more in range(3)]
    three = ahead[0] << 16 | ahead[1] << 8 | ahead[2]
    every = three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32) & np.uint32(0xFFFF)
    return every.ravel().astype(np.uint32, copy=False)


def coded_values(
    padded: NDArray[np.uint8], places: NDArray[np.int64], table: HuffmanTable
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """What stands at the bits `places`, int64, (N,): the symbols, uint8, (N,), and the values behind them, int32, (N,).

    Raises:
        ValueError: There is no code at one of them.
    """
    byte = places >> 3
    five = np.zeros(len(places), dtype=np.uint64)
    for more in range(5):
        five = five << np.uint64(8) | padded[byte + more]
    bits = five >> (8 - (places & 7)).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    code = (bits >> np.uint64(16)).astype(np.int64)
    lengths, symbols = table.lengths[code], table.symbols[code]
    if len(lengths) and not lengths.min():
        raise ValueError("there is no code where one should stand")
    size = (symbols & 15).astype(np.uint64)
    behind = (bits << lengths.astype(np.uint64) & np.uint64(0xFFFFFFFF)) >> (np.uint64(32) - size)
    value, width = behind.astype(np.int32), size.astype(np.int32)
    negative = (width > 0) & (value >> np.maximum(width - 1, 0) == 0)
    return symbols, np.where(negative, value - (1 << width) + 1, value).astype(np.int32)
