"""Gradients that are written out, as rows: their lengths and their weighted sum, each in one launch."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from datasites.training.gpu.plan import PROCESSORS, TOGETHER

_LONG = 1 << 16  # numbers that one program squares
_BLOCK = 1024
_ADDED = 512  # numbers of a program that adds parts up


@triton.jit(do_not_specialize=["count", "numbers"])
def _square_norms(
    rows: tl.tensor,
    out: tl.tensor,
    count: tl.tensor,
    numbers: tl.tensor,
    by_row: tl.tensor,
    long: tl.constexpr,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    total = tl.zeros((block,), dtype=tl.float64)
    for start in range(part * long, tl.minimum(part * long + long, numbers), block):
        j = start + tl.arange(0, block)
        v = tl.load(rows + row * by_row + j, mask=j < numbers, other=0.0).to(tl.float64)
        total += v * v
    tl.store(out + part.to(tl.int64) * count + row, tl.sum(total))


def square_norms(rows: torch.Tensor) -> torch.Tensor:
    """Each row's squared length, in float64 throughout.

    Args:
        rows: (B, N), of any floating type.

    Returns:
        float64, (B,).
    """
    rows = rows if rows.stride(-1) == 1 or rows.shape[1] == 1 else rows.contiguous()
    count, numbers = rows.shape
    block = min(_BLOCK, max(32, triton.next_power_of_2(numbers)))
    parts = max(1, triton.cdiv(numbers, _LONG))
    out = torch.empty(parts, count, dtype=torch.float64, device=rows.device)
    _square_norms[(count, parts)](rows, out, count, numbers, rows.stride(0), long=_LONG, block=block, num_warps=4)
    return out.sum(dim=0) if parts > 1 else out[0]


@triton.jit(do_not_specialize=["count"])
def _added(parts: tl.tensor, out: tl.tensor, count: tl.tensor, numbers: tl.tensor, block: tl.constexpr) -> None:
    zero = tl.full((), 0, tl.int64)
    j = (zero + tl.program_id(0)) * block + tl.arange(0, block)
    total = tl.zeros((block,), dtype=tl.float64)
    for part in range(0, count):
        total += tl.load(parts + (zero + part) * numbers + j, mask=j < numbers, other=0.0).to(tl.float64)
    tl.store(out + j, total, mask=j < numbers)


def added(parts: torch.Tensor) -> torch.Tensor:
    """The sum of parts in float64, one after the other, without a copy of them in float64 (`torch.sum` makes one).

    Args:
        parts: float32 or float64, (P, ...), dense.

    Returns:
        float64, (...).
    """
    numbers = parts[0].numel()
    out = torch.empty(parts.shape[1:], dtype=torch.float64, device=parts.device)
    _added[(triton.cdiv(numbers, _ADDED),)](parts, out, len(parts), numbers, block=_ADDED, num_warps=4)
    return out


@triton.jit(do_not_specialize=["pictures", "per"])
def _weighted(
    rows: tl.tensor,
    factors: tl.tensor,
    out: tl.tensor,
    pictures: tl.tensor,
    per: tl.tensor,
    numbers: tl.tensor,
    wide: tl.constexpr,
    high: tl.constexpr,
) -> None:
    zero = tl.full((), 0, tl.int64)
    j = tl.program_id(0) * wide + tl.arange(0, wide)
    part = tl.program_id(1)
    total = tl.zeros((high, wide), dtype=tl.float32)
    last = tl.minimum(part * per + per, pictures)
    for start in range(part * per, last, high):
        b = start + tl.arange(0, high)
        factor = tl.load(factors + b, mask=b < last, other=0.0)
        ok = (b < last)[:, None] & (j < numbers)[None, :]
        v = tl.load(rows + (zero + b)[:, None] * numbers + j[None, :], mask=ok, other=0.0)
        total += tl.where(factor[:, None] > 0, factor[:, None] * v, 0.0)
    tl.store(out + (zero + part) * numbers + j, tl.sum(total, 0), mask=j < numbers)


def weighted_sum(rows: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The sum of rows, each times its factor.

    Guarantees:
        A row whose factor is 0 adds exactly nothing, also where its numbers are not finite. At most 64 are added in
        float32, all else in float64.

    Args:
        rows: float32, (B, N).
        factors: float32, (B,).

    Returns:
        float64, (N,).
    """
    rows = rows.contiguous()
    pictures, numbers = rows.shape
    wide = 512 if numbers >= 512 * PROCESSORS else 128
    splits = max(1, min(pictures // 4, PROCESSORS * 4 * wide // numbers))
    per = min(TOGETHER, triton.cdiv(pictures, splits))
    splits = triton.cdiv(pictures, per)
    out = torch.empty(splits, numbers, dtype=torch.float32, device=rows.device)
    grid = (triton.cdiv(numbers, wide), splits)
    _weighted[grid](rows, factors, out, pictures, per, numbers, wide=wide, high=4, num_warps=4)
    return added(out)


@triton.jit(do_not_specialize=["pictures", "per"])
def _outer(
    inputs: tl.tensor,
    grad_output: tl.tensor,
    factors: tl.tensor,
    out: tl.tensor,
    pictures: tl.tensor,
    per: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    rows: tl.constexpr,
    columns: tl.constexpr,
    together: tl.constexpr,
) -> None:
    zero = tl.full((), 0, tl.int64)
    m = tl.program_id(0) * rows + tl.arange(0, rows)
    n = tl.program_id(1) * columns + tl.arange(0, columns)
    part = tl.program_id(2)
    total = tl.zeros((rows, columns), dtype=tl.float64)
    last = tl.minimum(part * per + per, pictures)
    for start in range(part * per, last, together):
        b = start + tl.arange(0, together)
        factor = tl.load(factors + b, mask=b < last, other=0.0)
        kept = (factor > 0)[:, None]
        a_ok = kept & (m < channels)[None, :]
        v_ok = kept & (n < outputs)[None, :]
        a = tl.load(inputs + (zero + b)[:, None] * channels + m[None, :], mask=a_ok, other=0.0).to(tl.float32)
        v = tl.load(grad_output + (zero + b)[:, None] * outputs + n[None, :], mask=v_ok, other=0.0).to(tl.float32)
        total += tl.dot(tl.trans(a), v * factor[:, None], input_precision="ieee").to(tl.float64)
    to = out + ((zero + part) * channels + m[:, None]) * outputs + n[None, :]
    tl.store(to, total, mask=(m < channels)[:, None] & (n < outputs)[None, :])


def weighted_outer(inputs: torch.Tensor, grad_output: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The sum over pictures of the outer product of two rows, times a factor.

    Guarantees:
        As `weighted_sum`.

    Args:
        inputs: (B, C), float32 or shorter.
        grad_output: (B, O), likewise.
        factors: float32, (B,).

    Returns:
        float64, (C, O).
    """
    inputs, grad_output = inputs.contiguous(), grad_output.contiguous()
    (pictures, channels), outputs = inputs.shape, grad_output.shape[1]
    rows, columns = (min(64, max(16, triton.next_power_of_2(width))) for width in (channels, outputs))
    tiles = (triton.cdiv(channels, rows), triton.cdiv(outputs, columns))
    splits = max(1, PROCESSORS * 8 // (tiles[0] * tiles[1]))
    per = TOGETHER * max(1, triton.cdiv(pictures, splits * TOGETHER))
    splits = triton.cdiv(pictures, per)
    out = torch.empty(splits, channels, outputs, dtype=torch.float64, device=inputs.device)
    sizes = (pictures, per, channels, outputs)
    settings = {"rows": rows, "columns": columns, "together": 16, "num_warps": 4}
    _outer[(*tiles, splits)](inputs, grad_output, factors, out, *sizes, **settings)
    return added(out) if splits > 1 else out[0]
