"""The rule of linear layers: on the features of a picture or on those of each of its positions."""

from __future__ import annotations

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
    positions_by_picture,
    summed_over_views,
    with_kernels,
    without_autocast,
    working_dtype,
)
from datasites.training.book_keeping.gram import writing_out_is_better
from datasites.training.book_keeping.product_sums import MOST_POSITIONS, SumOfOuterProducts
from datasites.training.dp_sgd.weighted_sums import full_precision

_ALIGNMENT_BYTES = 16


def linear(
    book: Book, anchor: torch.Tensor, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Computes `torch.nn.functional.linear`, and on the way back enters what it uses into `book`.

    Args:
        book: Of the pass, over V views of B pictures.
        anchor: A tensor of shape () that needs a gradient, so that the backward pass runs.
        input: (V * B, ..., d).
        weight: (p, d).
        bias: (p,), or None.

    Returns:
        (V * B, ..., p).
    """
    check_rows(book, input, weight, "linear layer")
    call = _Call(book, weight, bias)
    for tensor in (weight, bias):
        if book.is_trained(tensor):
            book.announce(tensor)  # type: ignore[arg-type]
    return _Linear.apply(anchor, input, call)


@dataclass(frozen=True)
class _Call:
    book: Book
    weight: torch.Tensor
    bias: torch.Tensor | None


def _outputs(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`F.linear`, on a processor with rows that begin where vectors do, and with two outputs at least.

    Matrix products of processors give a row other last bits at another place where rows begin in the middle of a
    vector, or where there is a single output; the engine would then look at one picture at a time. The zeros that are
    added here change no number.
    """
    padding, outputs = -inputs.shape[-1] % (_ALIGNMENT_BYTES // inputs.element_size()), len(weight)
    if inputs.device.type != "cpu" or (not padding and outputs > 1):
        return F.linear(inputs, weight, bias)
    more = max(0, 2 - outputs)
    bias = None if bias is None else F.pad(bias, (0, more))
    return F.linear(F.pad(inputs, (0, padding)), F.pad(weight, (0, padding, 0, more)), bias)[..., :outputs]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, call: _Call) -> torch.Tensor:
        ctx.call, ctx.dtype = call, inputs.dtype
        inputs = inputs.to(working_dtype(inputs))
        if call.book.is_trained(call.weight):
            ctx.save_for_backward(inputs)
        ctx.weight = call.weight.to(inputs.dtype)  # cast once for both ways
        bias = None if call.bias is None else call.bias.to(inputs.dtype)
        return _outputs(inputs, ctx.weight, bias)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, torch.Tensor | None, None]:
        call: _Call = ctx.call
        with full_precision(grad_output.device.type):
            if ctx.saved_tensors:
                call.book.enter(call.weight, _weight_gradient(call, ctx.saved_tensors[0], grad_output))
            if call.bias is not None and call.book.is_trained(call.bias):
                flat = grad_output.dim() == 2
                rows = grad_output.reshape(len(grad_output), -1, grad_output.shape[-1])
                rows = full(grad_output) if flat else rows.sum(dim=1, dtype=full_dtype(rows))
                call.book.enter(call.bias, InstantiatedGradient(summed_over_views(rows, call.book)))
        if not ctx.needs_input_grad[1]:
            return None, None, None
        with without_autocast(grad_output):
            return None, (grad_output @ ctx.weight.to(grad_output.dtype)).to(ctx.dtype), None


def _weight_gradient(call: _Call, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    if with_kernels(call.book, inputs):
        from datasites.training.book_keeping.gpu_gradients import of_linear

        once, book = call.book.is_used_once(call.weight), call.book
        return of_linear(inputs, grad_output, pictures=book.pictures, views=book.views, once=once)
    if on_gpu(inputs):
        once = call.book.is_used_once(call.weight)
        return made_twice.of_linear(inputs, grad_output, pictures=call.book.pictures, once=once)
    inputs = positions_by_picture(full(inputs), call.book)
    grad_output = positions_by_picture(full(grad_output), call.book)
    gradient = SumOfOuterProducts(inputs, grad_output)
    positions, width, height = inputs.shape[1], inputs.shape[2], grad_output.shape[2]
    few = positions <= MOST_POSITIONS and call.book.is_used_once(call.weight)
    if not few or writing_out_is_better(
        positions=positions,
        product=positions * width * height,
        numbers=width * height,
        ghost=positions**2 * (width + height),
        kept=positions * (width + height),
    ):
        return InstantiatedGradient(gradient.per_picture())
    return gradient
