"""The rule of convolutions over one, two or three axes, with any stride, padding, dilation and groups."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping import made_twice
from datasites.training.book_keeping.book import Book, InstantiatedGradient, PerSampleGradient
from datasites.training.book_keeping.calls import (
    check_rows,
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
        make = made_twice.of_convolution if on_gpu(inputs) else weight_gradient
        return make(call, inputs, grad_output)
    from datasites.training.book_keeping.gpu_gradients import of_convolution

    return of_convolution(call, inputs, grad_output)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, call: ConvolutionCall) -> torch.Tensor:
        ctx.call, ctx.dtype = call, inputs.dtype
        inputs = inputs.to(working_dtype(inputs))
        ctx.save_for_backward(inputs)
        ctx.weight = call.weight.detach().to(inputs.dtype)  # cast once for both ways
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
