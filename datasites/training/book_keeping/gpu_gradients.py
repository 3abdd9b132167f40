"""Per-sample gradients as a GPU computes them, by the kernels of `training.gpu`: in few launches, whatever the batch.

Which way a layer takes follows from its shapes alone. Operands are packed once and kept for both passes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from datasites.training.book_keeping.book import InstantiatedGradient, PerSampleGradient
from datasites.training.book_keeping.gram import square_norms_of_one
from datasites.training.book_keeping.patches import ConvolutionCall
from datasites.training.dp_sgd.weighted_sums import weighted_sum
from datasites.training.gpu.affine import grouped
from datasites.training.gpu.packing import packed, turned
from datasites.training.gpu.plan import Geometry, padded_channels
from datasites.training.gpu.products import Products
from datasites.training.gpu.rows import square_norms, weighted_outer

# Positions from which a written gradient is cheaper than a second pass, by the halves of an operand; measured.
_WRITTEN_FROM = {1: 400, 2: 200}
# How many times the size of its operands a layer's written gradients may take.
_MEMORY = 4
# Channels of a group from which tensor cores are of use.
_FEW_CHANNELS = 16


def of_convolution(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    """Returns the per-sample gradients of a convolution's weight.

    Args:
        call: The layer's call.
        inputs: (V * B, C, ...).
        grad_output: (V * B, O, ...), gradients with respect to the outputs.
    """
    shape = _geometry(call, inputs, grad_output)
    inputs, grad_output = inputs.flatten(2), grad_output.flatten(2)
    if shape.groups > 1 and shape.channels // shape.groups < _FEW_CHANNELS:
        return InstantiatedGradient(
            grouped(turned(inputs), turned(grad_output), shape).view(shape.pictures, *call.shape)
        )
    once = call.book.is_used_once(call.weight)
    only = shape.views * shape.places * shape.pixels * shape.taps * shape.groups == 1
    if once and only and not any(shape.padding):  # with a border, a step over it may never meet the only pixel
        return _OuterProducts(inputs[..., 0], grad_output[..., 0])
    return _products(shape, inputs, grad_output, call.shape, once=once)


def of_linear(
    inputs: torch.Tensor, grad_output: torch.Tensor, *, pictures: int, views: int, once: bool
) -> PerSampleGradient:
    """Returns the per-sample gradients of a linear layer's weight.

    Args:
        inputs: (V * B, ..., d).
        grad_output: (V * B, ..., p), gradients with respect to the outputs.
        pictures: B.
        views: V.
        once: Whether the weight is used in this call alone.
    """
    rows = pictures * views
    inputs, grad_output = (part.reshape(rows, -1, part.shape[-1]) for part in (inputs, grad_output))
    positions, width, height = inputs.shape[1], inputs.shape[2], grad_output.shape[2]
    if once and positions == views == 1:
        return _OuterProducts(inputs[:, 0], grad_output[:, 0])
    line = (1, 1, positions)
    shape = Geometry(pictures, views, width, height, 1, line, line)
    turned = (inputs.transpose(1, 2), grad_output.transpose(1, 2))
    return _products(shape, *turned, (height, width), once=once)


class _OuterProducts:
    """Gradients each of which is one output's gradient times one input.

    Args:
        inputs: (B, d).
        grad_output: (B, p), gradients with respect to the outputs.
    """

    def __init__(self, inputs: torch.Tensor, grad_output: torch.Tensor) -> None:
        self._inputs = inputs
        self._grad_output = grad_output

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return square_norms_of_one(square_norms(self._inputs), square_norms(self._grad_output))

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return self._grad_output.to(torch.float32)[:, :, None] * self._inputs.to(torch.float32)[:, None, :]

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return weighted_outer(self._grad_output, self._inputs, factors.to(torch.float32))


class _Products:
    """Gradients that are made in registers, once for their norms and once for their sum.

    Args:
        products: The kernel with its operands.
        shape: Of the weight.
    """

    def __init__(self, products: Products, shape: tuple[int, ...]) -> None:
        self._products = products
        self._shape = shape

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return self._products.square_norms()

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return _as_weight(self._products.written()[0], self._shape)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return _as_weight(self._products.weighted_sum(factors.to(torch.float32)), self._shape)


class _Written:
    """Gradients of which the norms are known already, as rows of (tap, channel) and columns of outputs.

    Args:
        gradients: float32, (B, taps * C / groups, O).
        squares: float64, (parts, B).
        shape: Of the weight.
    """

    def __init__(self, gradients: torch.Tensor, squares: torch.Tensor, shape: tuple[int, ...]) -> None:
        self._gradients = gradients
        self._squares = squares
        self._shape = shape

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return self._squares

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return _as_weight(self._gradients, self._shape)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return _as_weight(weighted_sum(self._gradients, factors), self._shape)


def _products(
    shape: Geometry, inputs: torch.Tensor, grad_output: torch.Tensor, weight: tuple[int, ...], *, once: bool
) -> PerSampleGradient:
    """Products of inputs, (V * B, C, pixels), and of gradients, (V * B, O, T)."""
    halves = 1 if inputs.dtype == grad_output.dtype == torch.bfloat16 else 2
    width = padded_channels(shape.channels) if shape.groups == 1 else shape.channels
    operands = packed(inputs, halves=halves, width=width), packed(grad_output, halves=halves)
    products = Products(replace(shape, channels=width), *operands)
    if not once:
        return _Products(products, weight)
    kept = 2 * halves * shape.views * (shape.pixels * shape.channels + shape.places * shape.outputs)
    many = shape.views * shape.places >= _WRITTEN_FROM[halves]
    if many and 4 * shape.numbers <= _MEMORY * kept:
        return _Written(*products.written(), weight)
    return _Products(products, weight)


def _as_weight(found: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """(..., taps * channels, O), of channels that may be padded, as the weight's (..., O, C / groups, *taps)."""
    _, channels, *kernel = shape
    axes = found.unflatten(-2, (math.prod(kernel), -1))[..., :channels, :].movedim((-1, -2), (-3, -2))
    return axes.reshape(*found.shape[:-2], *shape)


def _geometry(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> Geometry:
    def three(values: tuple[int, ...], missing: int) -> tuple[int, int, int]:
        z, y, x = (missing,) * (3 - len(values)) + tuple(values)
        return z, y, x

    return Geometry(
        pictures=call.book.pictures,
        views=call.book.views,
        channels=inputs.shape[1],
        outputs=grad_output.shape[1],
        groups=call.groups,
        size=three(inputs.shape[2:], 1),
        positions=three(grad_output.shape[2:], 1),
        kernel=three(call.shape[2:], 1),
        stride=three(call.stride, 1),
        padding=three(call.padding, 0),
        dilation=three(call.dilation, 1),
    )
