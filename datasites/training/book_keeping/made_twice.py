"""Per-sample gradients on a GPU without kernels: made twice by torch's operations, for their norms and for their sum.

Many pictures are made at once, as many as a part of the memory holds, so that launches do not grow with the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping.book import InstantiatedGradient, PerSampleGradient
from datasites.training.book_keeping.calls import full
from datasites.training.dp_sgd.weighted_sums import square_norms, weighted_sum

if TYPE_CHECKING:
    from datasites.training.book_keeping.patches import ConvolutionCall

_NUMBERS_AT_ONCE = 1 << 28
# How many times the size of its inputs and outputs a layer's written gradients may take.
_MEMORY = 4

_Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def of_convolution(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    """Returns the per-sample gradients of a convolution's weight.

    Args:
        call: The layer's call.
        inputs: (V * B, C, ...).
        grad_output: (V * B, O, ...), gradients with respect to the outputs.
    """
    positions, taps = grad_output[0, 0].numel(), math.prod(call.shape[2:])

    def product(rows: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        patches = _patches(call, full(rows)).flatten(3)
        return full(gradients).flatten(2).unflatten(1, (call.groups, -1)) @ patches

    pictures = call.book.pictures
    sizes = call.book.views * positions * inputs.shape[1] * taps, inputs.numel() + grad_output.numel()
    gradient = MadeTwice((inputs, grad_output), product, call.shape, pictures=pictures, each=sizes[0])
    return gradient.kept_if_small(sizes[1], once=call.book.is_used_once(call.weight))


def of_linear(inputs: torch.Tensor, grad_output: torch.Tensor, *, pictures: int, once: bool) -> PerSampleGradient:
    """Returns the per-sample gradients of a linear layer's weight.

    Args:
        inputs: (V * B, ..., d).
        grad_output: (V * B, ..., p), gradients with respect to the outputs.
        pictures: B.
        once: Whether the weight is used in this call alone.
    """

    def product(rows: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        rows, gradients = (full(part).reshape(len(part), -1, part.shape[-1]) for part in (rows, gradients))
        return gradients.transpose(1, 2) @ rows

    shape = (grad_output.shape[-1], inputs.shape[-1])
    gradient = MadeTwice((inputs, grad_output), product, shape, pictures=pictures, each=0)
    return gradient.kept_if_small(inputs.numel() + grad_output.numel(), once=once)


class MadeTwice:
    """Gradients that are made once for their norms and once more for their sum, in the same parts.

    Args:
        operands: Inputs and gradients with respect to outputs, (V * B, ...).
        product: Of some rows of both: each row's gradient, (rows, ...).
        shape: Of the weight.
        pictures: B.
        each: Numbers that a product makes for each picture besides the gradient.
    """

    def __init__(
        self,
        operands: tuple[torch.Tensor, torch.Tensor],
        product: _Product,
        shape: tuple[int, ...],
        *,
        pictures: int,
        each: int,
    ) -> None:
        self._operands = operands
        self._product = product
        self._shape = shape
        self._pictures = pictures
        self._together = max(1, _NUMBERS_AT_ONCE // (each + len(operands[0]) // pictures * math.prod(shape)))

    def kept_if_small(self, operands: int, *, once: bool) -> PerSampleGradient:
        """Returns the gradients themselves, where they take little memory or have to be added to others.

        Args:
            operands: Numbers of them.
            once: Whether the weight is used in one call alone.
        """
        if once and self._pictures * math.prod(self._shape) > _MEMORY * operands:
            return self
        return InstantiatedGradient(self.per_picture())

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return torch.cat([square_norms(part) for _, part in self._parts()])

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return torch.cat([part for _, part in self._parts()])

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return torch.stack([weighted_sum(part, factors[own]) for own, part in self._parts()]).sum(dim=0)

    def _parts(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Pictures, and their gradients, (pictures, *shape)."""
        for start in range(0, self._pictures, self._together):
            own = slice(start, start + self._together)
            rows = [part.unflatten(0, (-1, self._pictures))[:, own] for part in self._operands]
            views, pictures = rows[0].shape[:2]
            found = self._product(rows[0].flatten(0, 1), rows[1].flatten(0, 1))
            yield own, found.reshape(views, pictures, *self._shape).sum(dim=0)


def _patches(call: ConvolutionCall, inputs: torch.Tensor) -> torch.Tensor:
    """What each position sees of the inputs: (N, C, ...) → (N, groups, T, C / groups, taps)."""
    sides = [side for padding in reversed(call.padding) for side in (padding, padding)]
    padded = F.pad(inputs, sides).contiguous()
    kernel, axes = call.shape[2:], len(call.stride)
    settings = zip(padded.shape[2:], kernel, call.stride, call.dilation, strict=True)
    positions = [(size - step * (taps - 1) - 1) // stride + 1 for size, taps, stride, step in settings]
    strides = padded.stride()
    moves = [own * by for own, by in zip(strides[2:], call.stride, strict=True)]
    steps = [own * by for own, by in zip(strides[2:], call.dilation, strict=True)]
    seen = padded.as_strided(
        (*padded.shape[:2], *positions, *kernel), (*strides[:2], *moves, *steps), padded.storage_offset()
    )
    seen = seen.flatten(2 + axes).flatten(2, 1 + axes).unflatten(1, (call.groups, -1))
    return seen.transpose(2, 3)
