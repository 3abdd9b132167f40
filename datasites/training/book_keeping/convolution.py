"""The rule of convolutions over one, two or three axes, with any stride, padding, dilation and groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping import made_twice
from datasites.training.book_keeping.book import Book, InstantiatedGradient, PerSampleGradient
from datasites.training.book_keeping.calls import (
    check_rows,
    full,
    full_dtype,
    on_gpu,
    summed_over_views,
    with_kernels,
    without_autocast,
    working_dtype,
)
from datasites.training.book_keeping.patches import ConvolutionCall, weight_gradient
from datasites.training.dp_sgd.weighted_sums import full_precision


def convolution(
    book: Book,
    anchor: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Computes `torch.nn.functional.conv1d` to `conv3d`, and on the way back enters what it uses into `book`.

    Args:
        book: Of the pass, over V views of B pictures.
        anchor: As `linear` takes it.
        input: (V * B, C, ...), with one to three axes of positions.
        weight: (O, C / groups, ...), the kernel's size on each axis.
        bias: (O,), or None.
        stride: As torch takes it, like those that follow.
        padding: Likewise.
        dilation: Likewise.
        groups: Likewise.

    Returns:
        (V * B, O, ...).
    """
    check_rows(book, input, weight, "convolution")
    axes = weight.dim() - 2
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    input, padding = _padded(input, padding, weight.shape[2:], dilation)
    for tensor in (weight, bias):
        if book.is_trained(tensor):
            book.announce(tensor)  # type: ignore[arg-type]
    return _Convolution.apply(anchor, input, ConvolutionCall(book, weight, bias, stride, padding, dilation, groups))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value) * (axes // len(tuple(value)))


def _padded(
    inputs: torch.Tensor, padding: Any, kernel: torch.Size, dilation: tuple[int, ...]
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """The inputs and the padding as numbers; an uneven `same` is carried out here."""
    axes = len(kernel)
    if padding == "valid":
        return inputs, (0,) * axes
    if padding != "same":
        return inputs, _each(padding, axes)
    missing = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
    if all(total % 2 == 0 for total in missing):
        return inputs, tuple(total // 2 for total in missing)
    sides = [side for total in reversed(missing) for side in (total // 2, total - total // 2)]
    return F.pad(inputs, sides), (0,) * axes


def _weight_gradient(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    if not with_kernels(call.book, inputs):
        make = made_twice.of_convolution if on_gpu(inputs) else _of_used_taps
        return make(call, inputs, grad_output)
    from datasites.training.book_keeping.gpu_gradients import of_convolution

    return of_convolution(call, inputs, grad_output)


def _of_used_taps(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    taps = _used_taps(call, inputs, grad_output)
    if taps is None:
        return weight_gradient(call, full(inputs), full(grad_output))
    shape = (*call.shape[:2], *(len(axis) for axis in taps))
    padding = tuple(p - axis[0] * step for p, axis, step in zip(call.padding, taps, call.dilation, strict=True))
    small = _SmallerKernel(**{**vars(call), "padding": padding}, kept=shape)
    return _Padded(weight_gradient(small, full(inputs), full(grad_output)), call.shape, taps)


@dataclass(frozen=True)
class _SmallerKernel(ConvolutionCall):
    """The call as if the kernel had only the taps that ever meet a pixel."""

    kept: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is kept of the weight."""
        return self.kept


def _used_taps(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> list[range] | None:
    """On each axis the taps that meet a pixel at some position; None where all do, as on any but the smallest pictures.

    A kernel of 5 on a picture of 2 has two taps that only ever see padding: their gradient is zero.
    """
    if math.prod(call.shape[2:]) == 1:
        return None
    used = []
    settings = (call.shape[2:], call.stride, call.padding, call.dilation, inputs.shape[2:], grad_output.shape[2:])
    for kernel, stride, padding, step, size, positions in zip(*settings, strict=True):
        first = max(0, math.ceil((padding - (positions - 1) * stride) / step))
        last = min(kernel - 1, (size - 1 + padding) // step)
        before = padding - first * step
        if first > last or before < 0 or (size + 2 * before - step * (last - first) - 1) // stride + 1 != positions:
            return None
        used.append(range(first, last + 1))
    return None if tuple(map(len, used)) == call.shape[2:] else used


class _Padded:
    """Gradients of part of a kernel as those of the whole.

    Args:
        gradient: Of the part.
        shape: Of the whole weight.
        taps: Which part, on each axis.
    """

    def __init__(self, gradient: PerSampleGradient, shape: tuple[int, ...], taps: list[range]) -> None:
        self._gradient = gradient
        pairs = [(axis[0], size - axis[-1] - 1) for axis, size in zip(taps, shape[2:], strict=True)]
        self._sides = [side for pair in reversed(pairs) for side in pair]
        self._part = (*shape[:2], *(len(axis) for axis in taps))

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return self._gradient.square_norms()

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        found = self._gradient.per_picture()
        return F.pad(found.view(len(found), *self._part), self._sides)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return F.pad(self._gradient.weighted_sum(factors).view(self._part), self._sides)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, call: ConvolutionCall) -> torch.Tensor:
        ctx.call, ctx.dtype = call, inputs.dtype
        inputs = inputs.to(working_dtype(inputs))
        ctx.save_for_backward(inputs)
        ctx.weight = call.weight.to(inputs.dtype)  # cast once for both ways
        bias = None if call.bias is None else call.bias.to(inputs.dtype)
        settings = (call.stride, call.padding, call.dilation, False, [0] * len(call.stride), call.groups)
        return torch.convolution(inputs, ctx.weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, torch.Tensor | None, None]:
        call, (inputs,) = ctx.call, ctx.saved_tensors
        with full_precision(grad_output.device.type):
            if call.book.is_trained(call.weight):
                call.book.enter(call.weight, _weight_gradient(call, inputs, grad_output))
            if call.book.is_trained(call.bias):
                rows = grad_output.flatten(2).sum(dim=2, dtype=full_dtype(grad_output))
                call.book.enter(call.bias, InstantiatedGradient(summed_over_views(rows, call.book)))
        if not ctx.needs_input_grad[1]:
            return None, None, None
        with without_autocast(grad_output):
            weight = ctx.weight.to(grad_output.dtype)
            found = call.backward(grad_output, inputs, weight, groups=call.groups, of_weight=False)
            return None, found.to(ctx.dtype), None
