"""Noise made where the sums are, on a GPU: the cipher and the formula of `SecureRandom`, in torch's functions.

Made on the processor, the noise for a large model would keep a GPU waiting for longer than the step takes. The
keystream is ChaCha20 (RFC 8439) under a key that is drawn for one call and never used again.
"""

from __future__ import annotations

import math
import struct

import torch

_CONSTANTS = struct.unpack("<4i", b"expand 32-byte k")
_DOUBLE_ROUNDS = 10
_WORDS = 16  # of 32 bits, in a block


def keystream(key: bytes, blocks: int, device: torch.device | str, *, first: int = 0) -> torch.Tensor:
    """Returns blocks of ChaCha20's keystream with nonce 0.

    Args:
        key: 32 bytes.
        blocks: How many blocks of 16 words, up to 2^31 in all.
        device: Where they are computed.
        first: Number of the first block.

    Returns:
        int32, (16, blocks): the words of each block in a column.
    """
    words = [*_CONSTANTS, *struct.unpack("<8i", key), 0, 0, 0, 0]
    start = torch.tensor(words, dtype=torch.int32, device=device)[:, None].repeat(1, blocks)
    start[12] = torch.arange(first, first + blocks, dtype=torch.int32, device=device)
    rows = start.view(4, 4, blocks)
    a, b, c, d = (rows[i].clone() for i in range(4))
    for _ in range(_DOUBLE_ROUNDS):
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b, c, d = b.roll(-1, 0), c.roll(-2, 0), d.roll(-3, 0)  # the diagonals become columns
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b, c, d = b.roll(1, 0), c.roll(2, 0), d.roll(3, 0)
    return torch.cat([a, b, c, d]).add_(start)


def normal(key: bytes, count: int, device: torch.device | str) -> torch.Tensor:
    """Returns float64, (count,), independent standard normal values (Box and Muller, 1958), fixed by the key.

    Args:
        key: 32 bytes that no other call is given.
        count: At most 2^34.
        device: Where they are made.
    """
    pairs = (count + 1) // 2
    words = keystream(key, math.ceil(4 * pairs / _WORDS), device).reshape(4, -1)[:, :pairs]
    radius = (1.0 - _uniform(words[0], words[1])).log_().mul_(-2.0).sqrt_()
    angle = _uniform(words[2], words[3]).mul_(2.0 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:count]


def _uniform(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Float64 multiples of 2^-53 in [0, 1) from 21 and 32 random bits."""
    lower = low.to(torch.float64)
    lower = torch.where(low < 0, lower + 2.0**32, lower)
    return ((high >> 11) & 0x1FFFFF).to(torch.float64).mul_(2.0**32).add_(lower).mul_(2.0**-53)


def _quarter_rounds(
    a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four quarter rounds at once, int32 (4, blocks) each; additions wrap around."""
    a = a + b
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 12)
    a = a + b
    d = _rotated(d ^ a, 8)
    c = c + d
    b = _rotated(b ^ c, 7)
    return a, b, c, d


def _rotated(words: torch.Tensor, bits: int) -> torch.Tensor:
    """To the left; torch shifts to the right with the sign, which the mask takes off."""
    return (words << bits) | ((words >> (32 - bits)) & ((1 << bits) - 1))
