"""Geometries of layers, operands for them, and their per-picture gradients by float64 autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from support.triton_interpreter import DEVICE

from datasites.training.gpu.plan import Geometry

# Three axes of positions, of which the first are 1 where there are fewer.
ONE = (1, 1, 1)


def shape(
    channels: int,
    outputs: int,
    size: tuple[int, int, int],
    kernel: tuple[int, int, int] = ONE,
    *,
    stride: tuple[int, int, int] = ONE,
    padding: tuple[int, int, int] = (0, 0, 0),
    dilation: tuple[int, int, int] = ONE,
    groups: int = 1,
    views: int = 1,
    pictures: int = 2,
) -> Geometry:
    """A layer's geometry; how many positions it has follows from the rest."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    z, y, x = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
    return Geometry(pictures, views, channels, outputs, groups, size, (z, y, x), kernel, stride, padding, dilation)


def operands(geometry: Geometry, halves: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random inputs and gradients of outputs."""
    made = torch.Generator().manual_seed(7)
    count = geometry.views * geometry.pictures
    inputs = torch.randn(count, geometry.channels, geometry.pixels, generator=made)
    grad_output = torch.randn(count, geometry.outputs, geometry.places, generator=made)
    dtype = torch.bfloat16 if halves == 1 else torch.float32
    return inputs.to(DEVICE, dtype), grad_output.to(DEVICE, dtype)


def by_autograd(geometry: Geometry, inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """Each picture's gradient of the weight in float64, (B, O, C / groups, taps)."""
    found = []
    for picture in range(geometry.pictures):
        own_inputs, own_gradients = (
            part[picture :: geometry.pictures].double().cpu().unflatten(2, size)
            for part, size in ((inputs, geometry.size), (grad_output, geometry.positions))
        )
        channels = geometry.channels // geometry.groups
        weight = torch.zeros(geometry.outputs, channels, *geometry.kernel, dtype=torch.float64, requires_grad=True)
        settings = (geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
        outputs = F.conv3d(own_inputs, weight, None, *settings)
        found.append(torch.autograd.grad((outputs * own_gradients).sum(), weight)[0].flatten(2))
    return torch.stack(found)


def as_rows(gradients: torch.Tensor) -> torch.Tensor:
    """(..., O, C / groups, taps) as the kernel has it, (..., taps * C / groups, O)."""
    return gradients.movedim((-1, -2), (-3, -2)).flatten(-3, -2)
