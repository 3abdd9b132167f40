"""Per-picture gradients of layers that have few numbers for each channel: grouped convolutions, scales and shifts."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from datasites.training.gpu.plan import Geometry

_BLOCK = 1024


_VARY = [  # by layer: kernels are not compiled anew for them
    "depth", "height", "width", "wide", "high", "places", "stride_z", "stride_y", "stride_x", "padding_z", "padding_y",
    "padding_x", "dilation_z", "dilation_y", "dilation_x", "taps_y", "taps_x", "taps", "outputs", "own_channels",
    "own_outputs", "views", "pictures",
]  # fmt: skip


# fmt: off
@triton.jit(do_not_specialize=_VARY)
def _grouped(
    x: tl.tensor, g: tl.tensor, out: tl.tensor, x_row: tl.tensor, x_channel: tl.tensor, x_pixel: tl.tensor,
    g_row: tl.tensor, g_channel: tl.tensor, g_pixel: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    wide: tl.tensor, high: tl.tensor, places: tl.tensor, stride_z: tl.tensor, stride_y: tl.tensor, stride_x: tl.tensor,
    padding_z: tl.tensor, padding_y: tl.tensor, padding_x: tl.tensor, dilation_z: tl.tensor, dilation_y: tl.tensor,
    dilation_x: tl.tensor, taps_y: tl.tensor, taps_x: tl.tensor, taps: tl.tensor, outputs: tl.tensor,
    own_channels: tl.tensor, own_outputs: tl.tensor, views: tl.tensor, pictures: tl.tensor, across: tl.constexpr,
    along: tl.constexpr,
) -> None:
    # fmt: on
    """Gradients of a convolution's weight, written: out[b, output, own channel, tap]."""
    b = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * across + tl.arange(0, across)
    n_ok = n < outputs
    tap = tl.program_id(2) % taps
    own = tl.program_id(2) // taps
    c = n // own_outputs * own_channels + own
    kx = tap % taps_x * dilation_x - padding_x
    ky = tap // taps_x % taps_y * dilation_y - padding_y
    kz = tap // taps_x // taps_y * dilation_z - padding_z
    acc = tl.zeros((across, along), dtype=tl.float32)
    for view in range(0, views):
        own_x = x + (view * pictures + b) * x_row
        own_g = g + (view * pictures + b) * g_row
        for start in range(0, places, along):
            t = start + tl.arange(0, along)
            ix = t % wide * stride_x + kx
            iy = t // wide % high * stride_y + ky
            iz = t // wide // high * stride_z + kz
            ok = (t < places) & (iz >= 0) & (iz < depth) & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
            mask = n_ok[:, None] & ok[None, :]
            pixel = (iz * height + iy) * width + ix
            a = tl.load(own_x + c[:, None] * x_channel + pixel[None, :] * x_pixel, mask=mask, other=0.0)
            v = tl.load(own_g + n[:, None] * g_channel + t[None, :] * g_pixel, mask=mask, other=0.0)
            acc += a.to(tl.float32) * v.to(tl.float32)
    to = out + ((b * outputs + n) * own_channels + own) * taps + tap
    tl.store(to, tl.sum(acc, 1), mask=n_ok)


def grouped(inputs: torch.Tensor, grad_output: torch.Tensor, shape: Geometry) -> torch.Tensor:
    """Each picture's gradient of the weight of a convolution whose groups have few channels.

    Args:
        inputs: (V * B, C, pixels), of any strides.
        grad_output: (V * B, O, T), likewise.
        shape: Of the layer.

    Returns:
        float32, (B, O, C / groups, taps).
    """
    channels, outputs = shape.channels // shape.groups, shape.outputs // shape.groups
    out = torch.empty(shape.pictures, shape.outputs, channels, shape.taps, dtype=torch.float32, device=inputs.device)
    if inputs.stride(1) == 1 and shape.channels > 1:  # channels together
        across = min(64, triton.next_power_of_2(shape.outputs))
        along = _BLOCK // across
    else:
        along = min(256, max(32, triton.next_power_of_2(shape.places)))
        across = min(max(1, _BLOCK // along), triton.next_power_of_2(shape.outputs))
    grid = (shape.pictures, triton.cdiv(shape.outputs, across), channels * shape.taps)
    _grouped[grid](
        inputs,
        grad_output,
        out,
        *inputs.stride(),
        *grad_output.stride(),
        *shape.size,
        shape.positions[2],
        shape.positions[1],
        shape.places,
        *shape.stride,
        *shape.padding,
        *shape.dilation,
        *shape.kernel[1:],
        shape.taps,
        shape.outputs,
        channels,
        outputs,
        shape.views,
        shape.pictures,
        across=across,
        along=along,
        num_warps=4,
    )
    return out


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
