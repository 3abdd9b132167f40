"""Noise made where the sums are, on a GPU: the values of `keyed_noise`, by one kernel or in torch's functions.

Made on the processor, the noise for a large model would keep a GPU waiting for longer than the step takes.
"""

from __future__ import annotations

import contextlib
import math
import struct
from types import ModuleType

import torch

from datasites.training.randomness.keyed_noise import BLOCKS, TILE
from datasites.training.randomness.randomness import Noise

_CONSTANTS = struct.unpack("<4i", b"expand 32-byte k")
_DOUBLE_ROUNDS = 10
_KEY_BYTES, _SETTINGS_BYTES = 32, 24
_TILES_AT_ONCE = 1 << 13  # of values that torch's functions make at once


class DeviceKey:
    """A key and the settings of noise, in memory of the device that makes it.

    Guarantees:
        A key gives noise once: what takes the noise wipes it, and a key that is wiped gives no number but NaN. That
        also holds where what `add` launches was recorded, and is launched again.

    Args:
        device: Where the noise is made.
        kernel: `gpu.noise` where one kernel makes it, None where torch's functions do.
    """

    def __init__(self, device: torch.device, kernel: ModuleType | None = None) -> None:
        self._memory = torch.zeros(_KEY_BYTES + _SETTINGS_BYTES, dtype=torch.uint8, device=device)
        self._key = self._memory[:_KEY_BYTES].view(torch.int32)
        self._settings = self._memory[_KEY_BYTES:].view(torch.float64)
        self._kernel = kernel

    def renew(self, noise: Noise, step: float) -> None:
        """Puts a fresh key in place of the one that was used.

        Args:
            noise: Its key is used for nothing else.
            step: Of the lattice, a power of two.
        """
        settings = struct.pack("=3d", noise.spread / step, 1.0 / step, step)
        told = torch.frombuffer(bytearray(noise.key + settings), dtype=torch.uint8)
        if self._memory.is_cuda:
            with contextlib.suppress(RuntimeError):  # a machine may lock no more memory
                # From any other a GPU may let the thread wait for all that it was told before.
                told = told.pin_memory()
        self._memory.copy_(told, non_blocking=True)

    def add(self, sums: torch.Tensor, out: torch.Tensor) -> None:
        """Writes the sums with their noise, and wipes the key. It waits for nothing, so that it can be recorded.

        Args:
            sums: Real, (numbers,), at most 2^34.
            out: float32, (numbers,).
        """
        if self._kernel is not None:
            self._kernel.add(sums, out, self._key, self._settings)
        else:
            add(sums, out, self._key, self._settings)
        self._key.zero_()


def add(sums: torch.Tensor, out: torch.Tensor, key: torch.Tensor, settings: torch.Tensor) -> None:
    """Writes sums with their noise as `gpu.noise.add` does, for which this is the reference.

    Args:
        sums: Real, (numbers,).
        out: float32, (numbers,).
        key: int32, (8,).
        settings: float64, (3,).
    """
    scale, inverse, step = settings.unbind()
    scale = torch.where((key != 0).any(), scale, torch.nan)
    size = _TILES_AT_ONCE * TILE
    for start in range(0, len(sums), size):
        part = sums[start : start + size]
        noise = normal(key, len(part), first=start // 8).mul_(scale).round_()
        out[start : start + size] = (part.to(torch.float64) * inverse).round_().add_(noise).mul_(step)


def keystream(key: torch.Tensor, blocks: int, *, first: int = 0) -> torch.Tensor:
    """Returns blocks of ChaCha20's keystream with nonce 0.

    Args:
        key: int32, (8,), on the device where it is computed.
        blocks: How many blocks of 16 words, up to 2^31 in all.
        first: Number of the first block.

    Returns:
        int32, (16, blocks): the words of each block in a column.
    """
    device = key.device
    rows = [torch.full((1, blocks), word, dtype=torch.int32, device=device) for word in _CONSTANTS]
    rows += [key[i].expand(1, blocks) for i in range(8)]
    rows.append(torch.arange(first, first + blocks, dtype=torch.int32, device=device)[None])
    start = torch.cat([*rows, torch.zeros(3, blocks, dtype=torch.int32, device=device)])
    a, b, c, d = (row.clone() for row in start.view(4, 4, blocks))
    for _ in range(_DOUBLE_ROUNDS):
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b, c, d = b.roll(-1, 0), c.roll(-2, 0), d.roll(-3, 0)  # the diagonals become columns
        a, b, c, d = _quarter_rounds(a, b, c, d)
        b, c, d = b.roll(1, 0), c.roll(2, 0), d.roll(3, 0)
    return torch.cat([a, b, c, d]).add_(start)


def normal(key: torch.Tensor, count: int, *, first: int = 0) -> torch.Tensor:
    """Returns float64, (count,), the standard normal values of `keyed_noise`.

    Args:
        key: int32, (8,), on the device where they are made.
        count: At most 2^34.
        first: Block of the keystream that begins a tile.
    """
    tiles = math.ceil(count / TILE)
    words = keystream(key, tiles * BLOCKS, first=first).view(4, 4, tiles, BLOCKS)  # pair, word, tile, block
    radius = (1.0 - _uniform(words[:, 1], words[:, 0])).log_().mul_(-2.0).sqrt_()
    angle = _uniform(words[:, 3], words[:, 2]).mul_(2.0 * math.pi)
    values = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)  # pair, cos or sin, tile, block
    return values.permute(2, 0, 1, 3).reshape(-1)[:count]


def _uniform(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Float64 multiples of 2^-53 in [0, 1) from 32 and 21 random bits."""
    upper = high.to(torch.float64)
    upper = torch.where(high < 0, upper + 2.0**32, upper)
    return upper.mul_(2.0**21).add_(((low >> 11) & 0x1FFFFF).to(torch.float64)).mul_(2.0**-53)


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
