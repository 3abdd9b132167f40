"""The rules of GroupNorm and LayerNorm: their scale and shift are small, so each picture's gradient is written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from datasites.training.book_keeping.book import Book, InstantiatedGradient
from datasites.training.book_keeping.calls import (
    check_rows,
    full,
    on_gpu,
    summed_over_views,
    with_kernels,
    without_autocast,
)

# From so many positions on, two passes over the inputs are quicker than torch's kernel for channels side by side.
_MANY_POSITIONS = 256
# So few channels of one pixel are fewer than a processor adds at once; of so many lines, adding up a line's pixels
# costs little beside adding up the lines.
_FEW_CHANNELS = 32
_MANY_LINES = 32
# Products that are written before they are added up, so that they stay in a processor's cache.
_BLOCK = 1 << 16


def group_norm(
    book: Book,
    anchor: torch.Tensor,
    input: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Computes `torch.nn.functional.group_norm`, and on the way back enters what it uses into `book`.

    Args:
        book: Of the pass, over V views of B pictures.
        anchor: As `linear` takes it.
        input: (V * B, C, ...).
        num_groups: Divides C.
        weight: (C,), or None.
        bias: (C,), or None.
        eps: Added to the variance.

    Returns:
        Of the shape of `input`.
    """
    call = _checked(book, input, weight, bias, eps, "GroupNorm")
    return _GroupNorm.apply(anchor, input, num_groups, call)


def layer_norm(
    book: Book,
    anchor: torch.Tensor,
    input: torch.Tensor,
    normalized_shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Computes `torch.nn.functional.layer_norm`, and on the way back enters what it uses into `book`.

    Args:
        book: Of the pass, over V views of B pictures.
        anchor: As `linear` takes it.
        input: (V * B, ..., *normalized_shape).
        normalized_shape: The last axes.
        weight: (*normalized_shape), or None.
        bias: (*normalized_shape), or None.
        eps: Added to the variance.

    Returns:
        Of the shape of `input`.
    """
    call = _checked(book, input, weight, bias, eps, "LayerNorm")
    return _LayerNorm.apply(anchor, input, tuple(normalized_shape), call)


@dataclass(frozen=True)
class _Call:
    book: Book
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    eps: float

    def affine(self, dtype: torch.dtype) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Scale and shift in the precision of the computation."""
        return _in(dtype, self.weight), _in(dtype, self.bias)

    def enter(self, scales: torch.Tensor, shifts: torch.Tensor) -> None:
        """Enters rows of gradients, (V * B, *shape) each, of what is trained."""
        for tensor, rows in ((self.weight, scales), (self.bias, shifts)):
            if tensor is not None and self.book.is_trained(tensor):
                self.book.enter(tensor, InstantiatedGradient(summed_over_views(rows, self.book)))


def _in(dtype: torch.dtype, tensor: torch.Tensor | None) -> torch.Tensor | None:
    return tensor if tensor is None or tensor.dtype == dtype else tensor.to(dtype)


def _checked(
    book: Book, inputs: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float, kind: str
) -> _Call:
    for tensor in (weight, bias):
        if tensor is not None and book.is_trained(tensor):
            check_rows(book, inputs, tensor, kind)
            book.announce(tensor)
    return _Call(book, weight, bias, eps)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, groups: int, call: _Call) -> torch.Tensor:
        ctx.call, ctx.groups, ctx.dtype = call, groups, inputs.dtype
        values = full(inputs)
        ctx.by_channel = _is_by_channel(values)
        values = values if ctx.by_channel else _line_by_line(values)
        rows, channels = values.shape[:2]
        size = math.prod(values.shape[2:])
        affine = call.affine(values.dtype)
        out, means, scales = torch.native_group_norm(values, *affine, rows, channels, size, groups, call.eps)
        ctx.save_for_backward(values if on_gpu(inputs) else inputs, means, scales)  # cast once, or kept small
        return out

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        call, (inputs, means, scales) = ctx.call, ctx.saved_tensors
        backward = _by_channel_backward if ctx.by_channel else _by_row_backward
        with without_autocast(grad_output):
            values = full(inputs)
            weight = _in(values.dtype, call.weight)
            found, by_scale, by_shift = backward(values, full(grad_output), means, scales, weight, ctx.groups)
            call.enter(by_scale, by_shift)
            return None, found.to(ctx.dtype), None, None


def _is_by_channel(values: torch.Tensor) -> bool:
    """Whether a processor has the channels of a pixel side by side, so that nothing has to be copied to norm them."""
    apart = values.dim() == 4 and not values.is_contiguous() and not on_gpu(values)
    return apart and values.is_contiguous(memory_format=torch.channels_last)


def _line_by_line(values: torch.Tensor) -> torch.Tensor:
    """The same in torch's usual format, in its strides too.

    A map of one pixel counts as contiguous in either format, and torch goes by its strides: in `channels_last` its
    kernel for processors takes variances in which digits cancel, and of a group of two numbers most may.
    """
    return values.contiguous().flatten().view(values.shape)


def _by_row_backward(
    values: torch.Tensor,
    grad_output: torch.Tensor,
    means: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor | None,
    groups: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradient of GroupNorm's inputs, (V * B, C, ...), and each row's of its scale and shift, (V * B, C)."""
    values, grad_output = values.contiguous(), grad_output.contiguous()
    rows, channels = values.shape[:2]
    # As one picture with the channels of all: torch's own kernel then adds up nothing over pictures.
    apart = (1, rows * channels, math.prod(values.shape[2:]))
    found, by_scale, by_shift = torch.ops.aten.native_group_norm_backward(
        grad_output.view(apart),
        values.view(apart),
        means.view(1, -1),
        scales.view(1, -1),
        None if weight is None else weight.expand(rows, -1).reshape(-1),
        *apart,
        rows * groups,
        [True, True, True],
    )
    return found.view(values.shape), by_scale.view(rows, channels), by_shift.view(rows, channels)


def _by_channel_backward(
    values: torch.Tensor,
    grad_output: torch.Tensor,
    means: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor | None,
    groups: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `_by_row_backward`, in `channels_last`, where pictures cannot lie side by side as channels of one."""
    grad_output = grad_output.contiguous(memory_format=torch.channels_last)
    rows, channels = values.shape[:2]
    size = math.prod(values.shape[2:])
    products, shifts = _summed_by_channel(values, grad_output).view(2, rows, groups, -1).unbind()
    each_mean, each_scale = means.unsqueeze(2), scales.unsqueeze(2)
    if size < _MANY_POSITIONS:
        settings = (rows, channels, size, groups, [True, False, False])
        found = torch.ops.aten.native_group_norm_backward(grad_output, values, means, scales, weight, *settings)[0]
    else:
        found = _from_sums(values, grad_output, products, shifts, each_mean, each_scale, weight)
    by_scale = torch.addcmul(products, shifts, each_mean, value=-1).mul_(each_scale)
    return found, by_scale.view(rows, channels), shifts.view(rows, channels)


def _from_sums(
    values: torch.Tensor,
    grad_output: torch.Tensor,
    products: torch.Tensor,
    shifts: torch.Tensor,
    means: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor | None,
) -> torch.Tensor:
    """The gradient of GroupNorm's inputs from each row's sums, (V * B, groups, C / groups), in two passes.

    Of an input x it is a * (gradient of its output) + b * x + c, with an a for each channel and a b and a c for each
    group: what the scale makes of the gradient, less what the group's variance and mean take away.
    """
    weighted = scales.expand_as(products) if weight is None else scales * weight.view(1, *products.shape[1:])
    numbers = products.shape[2] * math.prod(values.shape[2:])
    product, shift = ((weighted * sums).sum(dim=2, keepdim=True) / numbers for sums in (products, shifts))
    slopes = (shift * means - product) * scales.square()
    offsets = -slopes * means - shift
    a, b, c = (each.expand_as(products).reshape(*values.shape[:2], 1, 1) for each in (weighted, slopes, offsets))
    return torch.addcmul(c, values, b).addcmul_(grad_output, a)


def _summed_by_channel(values: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """Each row's sums over positions of gradient times value, and of gradients: (N, C, H, W) twice → (2, N, C)."""
    rows, channels, height, width = values.shape
    # Few channels do not fill what is added at once: then those of all pixels of a line are, and the lines' sums last.
    together = width * channels if channels < _FEW_CHANNELS and height >= _MANY_LINES else channels
    own, gradients = (tensor.permute(0, 2, 3, 1).reshape(rows, -1, together) for tensor in (values, grad_output))
    sums = values.new_empty(2, rows, together)
    step = max(1, _BLOCK // max(1, own[0].numel()))
    for start in range(0, rows, step):
        some = slice(start, start + step)
        torch.sum(own[some] * gradients[some], dim=1, out=sums[0, some])
        torch.sum(gradients[some], dim=1, out=sums[1, some])
    return sums if together == channels else sums.view(2, rows, width, channels).sum(dim=2)


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, shape: tuple[int, ...], call: _Call
    ) -> torch.Tensor:
        ctx.call, ctx.shape, ctx.dtype = call, shape, inputs.dtype
        values = full(inputs)
        out, means, scales = torch.native_layer_norm(values, shape, *call.affine(values.dtype), call.eps)
        ctx.save_for_backward(inputs, means, scales)
        return out

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        call, (inputs, means, scales) = ctx.call, ctx.saved_tensors
        with without_autocast(grad_output):
            values, grad_output = full(inputs), full(grad_output)
            mask = [True, False, False]
            settings = (ctx.shape, means, scales, *call.affine(values.dtype), mask)
            found = torch.ops.aten.native_layer_norm_backward(grad_output, values, *settings)[0]
            call.enter(*_by_scale_and_shift(call, ctx.shape, values, grad_output, means, scales))
            return None, found.to(ctx.dtype), None, None


def _by_scale_and_shift(
    call: _Call,
    shape: tuple[int, ...],
    values: torch.Tensor,
    grad_output: torch.Tensor,
    means: torch.Tensor,
    scales: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's gradients of LayerNorm's scale and shift, (V * B, *shape) each."""
    positions = (len(values), -1, *shape)
    if with_kernels(call.book, values):
        from datasites.training.gpu.affine import layer_norm

        rows, width = len(values), math.prod(shape)
        both = layer_norm(values.reshape(rows, -1, width), grad_output.reshape(rows, -1, width), means, scales)
        return both[:, 0].view(rows, *shape), both[:, 1].view(rows, *shape)
    normalised = (values - means).mul_(scales)
    by_scale = normalised.mul_(grad_output).reshape(positions).sum(dim=1)
    return by_scale, grad_output.reshape(positions).sum(dim=1)
