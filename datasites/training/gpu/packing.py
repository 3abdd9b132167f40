"""Operands of products as tensor cores read them: positions first, channels together, in halves of bfloat16.

A float32 number goes in two: what bfloat16 makes of it, and what bfloat16 makes of the rest; 2^-17 of it is left out,
the same in all that is made of the operands.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_SIDE = 64  # of a block that is turned


@triton.jit(do_not_specialize=["channels", "pixels"])
def _pack(
    x: tl.tensor,
    out: tl.tensor,
    width: tl.tensor,
    channels: tl.tensor,
    pixels: tl.tensor,
    by_row: tl.tensor,
    by_channel: tl.tensor,
    by_pixel: tl.tensor,
    halves: tl.constexpr,
    across: tl.constexpr,
    along: tl.constexpr,
) -> None:
    row = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * across + tl.arange(0, across)
    p = tl.program_id(2) * along + tl.arange(0, along)
    ok = (c < channels)[:, None] & (p < pixels)[None, :]
    v = tl.load(x + row * by_row + c[:, None] * by_channel + p[None, :] * by_pixel, mask=ok, other=0.0)
    to = out + row * width * pixels + p[:, None] * width + c[None, :]
    low = (row * 0 + tl.num_programs(0)) * width * pixels  # to the second halves
    turned = (p < pixels)[:, None] & (c < width)[None, :]
    high = v.to(out.dtype.element_ty)
    tl.store(to, tl.trans(high), mask=turned)
    if halves == 2:
        whole = v.to(tl.float32)
        rest = whole - high.to(tl.float32)
        tl.store(to + low, tl.trans(rest.to(out.dtype.element_ty)), mask=turned)


def packed(rows: torch.Tensor, *, halves: int, width: int | None = None) -> torch.Tensor:
    """Brings rows into the form that `products.Products` takes; without a copy where they have it.

    Args:
        rows: (N, C, pixels), of any strides.
        halves: 1 for bfloat16 numbers, 2 for others.
        width: With how many channels, those that are missing being zero; C if None.

    Returns:
        bfloat16, (halves, N, pixels, width), dense.
    """
    if halves == 1 and width in (None, rows.shape[1]):
        return turned(rows)[None]
    return _packed(rows, torch.bfloat16, halves, width or rows.shape[1])


def turned(rows: torch.Tensor) -> torch.Tensor:
    """Puts channels last, without a copy where they lie so: (N, C, pixels) → (N, pixels, C), dense.

    Args:
        rows: (N, C, pixels), of any strides.
    """
    found = rows.transpose(1, 2)
    return found if found.is_contiguous() else _packed(rows, rows.dtype, 1, rows.shape[1])[0]


def _packed(rows: torch.Tensor, dtype: torch.dtype, halves: int, width: int) -> torch.Tensor:
    count, channels, pixels = rows.shape
    out = torch.empty(halves, count, pixels, width, dtype=dtype, device=rows.device)
    across, along = (min(_SIDE, max(16, triton.next_power_of_2(n))) for n in (width, pixels))
    grid = (count, triton.cdiv(width, across), triton.cdiv(pixels, along))
    sizes = (width, channels, pixels)
    _pack[grid](rows, out, *sizes, *rows.stride(), halves=halves, across=across, along=along, num_warps=4)
    return out
