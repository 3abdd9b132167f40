"""Noise for all of a step's numbers in one launch: keystream, normal values, lattice and sum, all in registers.

The values are those of `randomness.keyed_noise`, of which `randomness.device_noise` is the reference. Key and settings
are read from the device's memory, so that what was recorded takes a new key each time it is launched.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCKS = 128  # of the keystream in a tile, which one program makes; its last ones may be left over
_VALUES = 8  # of a block
_WARPS = 4


@triton.jit
def _rotated(words: tl.tensor, bits: tl.constexpr) -> tl.tensor:
    return (words << bits) | (words >> (32 - bits))


@triton.jit
def _quarter_round(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor) -> tl.tensor:
    a = a + b
    d = _rotated(d ^ a, 16)
    c = c + d
    b = _rotated(b ^ c, 12)
    a = a + b
    d = _rotated(d ^ a, 8)
    c = c + d
    b = _rotated(b ^ c, 7)
    return a, b, c, d


@triton.jit
def _word(key: tl.tensor, index: tl.constexpr, zero: tl.tensor) -> tl.tensor:
    return tl.load(key + index).to(tl.uint32, bitcast=True) + zero


@triton.jit
def _block(key: tl.tensor, counter: tl.tensor) -> tl.tensor:
    """The 16 words of a block of ChaCha20 with nonce 0, for a vector of counters."""
    zero = counter * 0
    c0 = zero + 0x61707865
    c1 = zero + 0x3320646E
    c2 = zero + 0x79622D32
    c3 = zero + 0x6B206574
    k0 = _word(key, 0, zero)
    k1 = _word(key, 1, zero)
    k2 = _word(key, 2, zero)
    k3 = _word(key, 3, zero)
    k4 = _word(key, 4, zero)
    k5 = _word(key, 5, zero)
    k6 = _word(key, 6, zero)
    k7 = _word(key, 7, zero)
    x0, x1, x2, x3, x4, x5, x6, x7 = c0, c1, c2, c3, k0, k1, k2, k3
    x8, x9, x10, x11, x12, x13, x14, x15 = k4, k5, k6, k7, counter, zero, zero, zero
    for _ in range(10):
        x0, x4, x8, x12 = _quarter_round(x0, x4, x8, x12)
        x1, x5, x9, x13 = _quarter_round(x1, x5, x9, x13)
        x2, x6, x10, x14 = _quarter_round(x2, x6, x10, x14)
        x3, x7, x11, x15 = _quarter_round(x3, x7, x11, x15)
        x0, x5, x10, x15 = _quarter_round(x0, x5, x10, x15)
        x1, x6, x11, x12 = _quarter_round(x1, x6, x11, x12)
        x2, x7, x8, x13 = _quarter_round(x2, x7, x8, x13)
        x3, x4, x9, x14 = _quarter_round(x3, x4, x9, x14)
    return (
        x0 + c0, x1 + c1, x2 + c2, x3 + c3, x4 + k0, x5 + k1, x6 + k2, x7 + k3,
        x8 + k4, x9 + k5, x10 + k6, x11 + k7, x12 + counter, x13, x14, x15,
    )  # fmt: skip


@triton.jit
def _uniform(low: tl.tensor, high: tl.tensor) -> tl.tensor:
    """Multiples of 2^-53 in [0, 1)."""
    return (high.to(tl.float64) * 2097152.0 + (low >> 11).to(tl.float64)) * 1.1102230246251565e-16


@triton.jit
def _rounded(value: tl.tensor) -> tl.tensor:
    """To the nearest whole number, ties to even; from 2^51 on a number is returned as it is, rounded to a half at most.

    2^51 steps are more than 2^18 spreads: no noise is so large, and a sum that is cannot be hidden by noise at all.
    """
    large = tl.abs(value) >= 2251799813685248.0
    return tl.where(large, value, (value + 6755399441055744.0) - 6755399441055744.0)


@triton.jit
def _write(
    sums: tl.tensor,
    out: tl.tensor,
    where: tl.tensor,
    count: tl.tensor,
    value: tl.tensor,
    scale: tl.tensor,
    inverse: tl.tensor,
    step: tl.tensor,
) -> None:
    ok = where < count
    clipped = tl.load(sums + where, mask=ok, other=0.0).to(tl.float64)
    noisy = (_rounded(clipped * inverse) + _rounded(value * scale)) * step
    tl.store(out + where, noisy.to(tl.float32), mask=ok)


@triton.jit
def _write_pair(
    sums: tl.tensor,
    out: tl.tensor,
    where: tl.tensor,
    count: tl.tensor,
    words: tl.tensor,
    scale: tl.tensor,
    inverse: tl.tensor,
    step: tl.tensor,
    blocks: tl.constexpr,
) -> None:
    radius = tl.sqrt(-2.0 * tl.log(1.0 - _uniform(words[0], words[1])))
    angle = _uniform(words[2], words[3]) * 6.283185307179586
    _write(sums, out, where, count, radius * tl.cos(angle), scale, inverse, step)
    _write(sums, out, where + blocks, count, radius * tl.sin(angle), scale, inverse, step)


@triton.jit(do_not_specialize=["count"])
def _add(
    sums: tl.tensor, out: tl.tensor, key: tl.tensor, settings: tl.tensor, count: tl.tensor, blocks: tl.constexpr
) -> None:
    tile = tl.program_id(0)
    i = tl.arange(0, blocks)
    w = _block(key, (tile * blocks + i).to(tl.uint32))
    fresh = tl.max((tl.load(key + tl.arange(0, 8)) != 0).to(tl.int32), 0) > 0
    scale = tl.where(fresh, tl.load(settings), float("nan"))  # of a key that was used, no noise comes
    inverse = tl.load(settings + 1)
    step = tl.load(settings + 2)
    where = tile.to(tl.int64) * blocks * 8 + i
    _write_pair(sums, out, where, count, (w[0], w[1], w[2], w[3]), scale, inverse, step, blocks)
    _write_pair(sums, out, where + 2 * blocks, count, (w[4], w[5], w[6], w[7]), scale, inverse, step, blocks)
    _write_pair(sums, out, where + 4 * blocks, count, (w[8], w[9], w[10], w[11]), scale, inverse, step, blocks)
    _write_pair(sums, out, where + 6 * blocks, count, (w[12], w[13], w[14], w[15]), scale, inverse, step, blocks)


@triton.jit
def _keystream(out: tl.tensor, key: tl.tensor, first: tl.tensor, blocks: tl.constexpr) -> None:
    counter = (tl.program_id(0) * blocks + tl.arange(0, blocks) + first).to(tl.uint32)
    words = _block(key, counter)
    at = out + (tl.program_id(0).to(tl.int64) * blocks + tl.arange(0, blocks)) * 16
    for i in tl.static_range(16):
        tl.store(at + i, words[i].to(tl.int32, bitcast=True))


def add(sums: torch.Tensor, out: torch.Tensor, key: torch.Tensor, settings: torch.Tensor) -> None:
    """Writes sums with their noise, all in one launch.

    Guarantees:
        Each number of `out` is a multiple of the step: the sum rounded to it, and a value of the key's own, times the
        spread, rounded likewise. Of a key of zeros, which is what a used one is wiped to, there is no number: all NaN.

    Args:
        sums: float64 or float32, (numbers,), dense, at most 2^34.
        out: float32, (numbers,), dense.
        key: int32, (8,); used for nothing else, and to be wiped afterwards.
        settings: float64, (3,): spread / step, 1 / step, step.
    """
    if len(sums):
        grid = (triton.cdiv(len(sums), _BLOCKS * _VALUES),)
        _add[grid](sums, out, key, settings, len(sums), blocks=_BLOCKS, num_warps=_WARPS)


def keystream(key: torch.Tensor, tiles: int, *, first: int = 0) -> torch.Tensor:
    """The keystream that the noise is made of, for those who compare it: int32, (tiles * 128, 16).

    Args:
        key: int32, (8,).
        tiles: Of 128 blocks.
        first: Number of the first block.
    """
    out = torch.empty(tiles * _BLOCKS, 16, dtype=torch.int32, device=key.device)
    _keystream[(tiles,)](out, key, first, blocks=_BLOCKS, num_warps=_WARPS)
    return out
