"""Per-picture gradients of layers that have few numbers for each channel: grouped convolutions, scales and shifts."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from datasites.training.gpu.plan import PROCESSORS, Geometry

_BLOCK = 4096  # numbers of a tile


_VARY = [  # by layer: kernels are not compiled anew for them
    "depth", "height", "width", "wide", "high", "places", "stride_z", "stride_y", "stride_x", "padding_z", "padding_y",
    "padding_x", "dilation_z", "dilation_y", "dilation_x", "taps_y", "taps_x", "taps", "own_channels", "own_outputs",
    "views", "pictures", "per", "blocks",
]  # fmt: skip


# fmt: off
@triton.jit(do_not_specialize=_VARY)
def _grouped(
    x: tl.tensor, g: tl.tensor, out: tl.tensor, channels: tl.tensor, outputs: tl.tensor, depth: tl.tensor,
    height: tl.tensor, width: tl.tensor, wide: tl.tensor, high: tl.tensor, places: tl.tensor, stride_z: tl.tensor,
    stride_y: tl.tensor, stride_x: tl.tensor, padding_z: tl.tensor, padding_y: tl.tensor, padding_x: tl.tensor,
    dilation_z: tl.tensor, dilation_y: tl.tensor, dilation_x: tl.tensor, taps_y: tl.tensor, taps_x: tl.tensor,
    taps: tl.tensor, own_channels: tl.tensor, own_outputs: tl.tensor, views: tl.tensor, pictures: tl.tensor,
    per: tl.tensor, blocks: tl.tensor, alone: tl.constexpr, every: tl.constexpr, along: tl.constexpr,
    across: tl.constexpr,
) -> None:
    # fmt: on
    """Part of the gradients of a convolution's weight, written: out[part, b, output, own channel, tap]."""
    zero = tl.full((), 0, tl.int64)
    b, part = tl.program_id(0) % pictures, tl.program_id(0) // pictures
    own = tl.program_id(2)
    n = tl.program_id(1) * across + tl.arange(0, across)
    n_ok = n < outputs
    c = n if alone else n // own_outputs * own_channels + own
    tap = tl.arange(0, every)
    kx = tap % taps_x * dilation_x - padding_x
    ky = tap // taps_x % taps_y * dilation_y - padding_y
    kz = tap // taps_x // taps_y * dilation_z - padding_z
    acc = tl.zeros((every, along, across), dtype=tl.float32)
    for i in range(part * per, tl.minimum(part * per + per, views * blocks)):
        row = zero + (i // blocks) * pictures + b
        t = i % blocks * along + tl.arange(0, along)
        ix = (t % wide * stride_x)[None, :] + kx[:, None]
        iy = (t // wide % high * stride_y)[None, :] + ky[:, None]
        iz = (t // wide // high * stride_z)[None, :] + kz[:, None]
        ok = (tap < taps)[:, None] & (t < places)[None, :] & (iz >= 0) & (iz < depth)
        ok = ok & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
        pixel = (iz * height + iy) * width + ix
        own_x = x + row * (depth * height * width) * channels
        own_g = g + row * places * outputs
        seen = pixel[:, :, None] * channels + c[None, None, :]
        a = tl.load(own_x + seen, mask=ok[:, :, None] & n_ok[None, None, :], other=0.0)
        v = tl.load(own_g + t[:, None] * outputs + n[None, :], mask=(t < places)[:, None] & n_ok[None, :], other=0.0)
        acc += a.to(tl.float32) * v.to(tl.float32)[None, :, :]
    to = (((zero + part) * pictures + b) * outputs + n[None, :]) * own_channels + own
    tl.store(out + to * taps + tap[:, None], tl.sum(acc, 1), mask=(tap < taps)[:, None] & n_ok[None, :])


def grouped(inputs: torch.Tensor, grad_output: torch.Tensor, shape: Geometry) -> torch.Tensor:
    """Each picture's gradient of the weight of a convolution whose groups have few channels.

    Args:
        inputs: (V * B, pixels, C), dense.
        grad_output: (V * B, T, O), dense.
        shape: Of the layer.

    Returns:
        float32, (B, O, C / groups, taps).
    """
    channels, outputs = shape.channels // shape.groups, shape.outputs // shape.groups
    every = triton.next_power_of_2(shape.taps)
    across = min(64, max(8, triton.next_power_of_2(shape.outputs)))
    along = min(triton.next_power_of_2(shape.places), max(1, _BLOCK // (every * across)))
    blocks = triton.cdiv(shape.places, along)
    programs = shape.pictures * triton.cdiv(shape.outputs, across) * channels
    parts = max(1, min(shape.views * blocks, PROCESSORS * 8 // programs))
    per = triton.cdiv(shape.views * blocks, parts)
    parts = triton.cdiv(shape.views * blocks, per)
    out = inputs.new_empty(parts, shape.pictures, shape.outputs, channels, shape.taps, dtype=torch.float32)
    grid = (shape.pictures * parts, triton.cdiv(shape.outputs, across), channels)
    _grouped[grid](
        inputs,
        grad_output,
        out,
        shape.channels,
        shape.outputs,
        *shape.size,
        shape.positions[2],
        shape.positions[1],
        shape.places,
        *shape.stride,
        *shape.padding,
        *shape.dilation,
        *shape.kernel[1:],
        shape.taps,
        channels,
        outputs,
        shape.views,
        shape.pictures,
        per,
        blocks,
        alone=channels == outputs == 1,
        every=every,
        along=along,
        across=across,
        num_warps=4,
    )
    return out.sum(dim=0) if parts > 1 else out[0]


@triton.jit(do_not_specialize=["positions"])
def _layer_norm(
    x: tl.tensor,
    g: tl.tensor,
    means: tl.tensor,
    scales: tl.tensor,
    out: tl.tensor,
    positions: tl.tensor,
    width: tl.tensor,
    high: tl.constexpr,
    wide: tl.constexpr,
) -> None:
    row = tl.program_id(1).to(tl.int64)
    d = tl.program_id(0) * wide + tl.arange(0, wide)
    d_ok = d < width
    by_scale = tl.zeros((high, wide), dtype=tl.float32)
    by_shift = tl.zeros((high, wide), dtype=tl.float32)
    for start in range(0, positions, high):
        t = start + tl.arange(0, high)
        ok = (t < positions)[:, None] & d_ok[None, :]
        at = (row * positions + t)[:, None] * width + d[None, :]
        v = tl.load(x + at, mask=ok, other=0.0).to(tl.float32)
        w = tl.load(g + at, mask=ok, other=0.0).to(tl.float32)
        mean = tl.load(means + row * positions + t, mask=t < positions, other=0.0)
        scale = tl.load(scales + row * positions + t, mask=t < positions, other=0.0)
        by_scale += (v - mean[:, None]) * scale[:, None] * w
        by_shift += w
    tl.store(out + row * 2 * width + d, tl.sum(by_scale, 0), mask=d_ok)
    tl.store(out + row * 2 * width + width + d, tl.sum(by_shift, 0), mask=d_ok)


def layer_norm(
    inputs: torch.Tensor, grad_output: torch.Tensor, means: torch.Tensor, scales: torch.Tensor
) -> torch.Tensor:
    """Each row's gradients of LayerNorm's scale and shift.

    Args:
        inputs: (N, T, D).
        grad_output: (N, T, D).
        means: float32, N * T of them.
        scales: float32, one over the deviation, likewise.

    Returns:
        float32, (N, 2, D): by scale, by shift.
    """
    rows, positions, width = inputs.shape
    out = torch.empty(rows, 2, width, dtype=torch.float32, device=inputs.device)
    tensors = (inputs.contiguous(), grad_output.contiguous(), means.contiguous(), scales.contiguous(), out)
    wide = min(64, max(16, triton.next_power_of_2(width)))
    _layer_norm[(triton.cdiv(width, wide), rows)](*tensors, positions, width, high=16, wide=wide, num_warps=4)
    return out
