"""The rule of convolutions over one, two or three axes, with any stride, padding, dilation and groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping.book import Book, Use, WrittenOut
from datasites.training.book_keeping.calls import check_rows, full, summed_over_views, without_autocast, working_dtype
from datasites.training.book_keeping.cost import writing_out_is_cheaper
from datasites.training.book_keeping.gram import gram, square_norms_of
from datasites.training.book_keeping.linear import SumOfOuterProducts

_backward = torch.ops.aten.convolution_backward
# Multiplications from which one picture alone keeps the processor as busy as a group among many; measured.
_LARGE_ALONE = 8_000_000


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
    """`torch.nn.functional.conv1d` to `conv3d`, which enter what they use into `book` on the way back."""
    check_rows(book, input, weight, "convolution")
    axes = weight.dim() - 2
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    input, padding = _padded(input, padding, weight.shape[2:], dilation)
    for tensor in (weight, bias):
        if book.is_trained(tensor):
            book.announce(tensor)  # type: ignore[arg-type]
    return _Convolution.apply(anchor, input, _Call(book, weight, bias, stride, padding, dilation, groups))


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


@dataclass(frozen=True)
class _Call:
    book: Book
    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def backward(
        self, outgoing: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, *, groups: int, of_weight: bool
    ) -> torch.Tensor:
        """The gradient with respect to the weight, or else to the inputs."""
        nowhere = [0] * len(self.stride)
        settings = (self.stride, self.padding, self.dilation, False, nowhere, groups)
        found = _backward(outgoing, inputs, weight, None, *settings, [not of_weight, of_weight, False])
        return found[1] if of_weight else found[0]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, inputs: torch.Tensor, call: _Call) -> torch.Tensor:
        ctx.call, ctx.dtype = call, inputs.dtype
        inputs = inputs.to(working_dtype(inputs))
        ctx.save_for_backward(inputs)
        bias = None if call.bias is None else call.bias.to(inputs.dtype)
        settings = (call.stride, call.padding, call.dilation, False, [0] * len(call.stride), call.groups)
        return torch.convolution(inputs, call.weight.to(inputs.dtype), bias, *settings)

    @staticmethod
    def backward(ctx: Any, outgoing: torch.Tensor) -> tuple[None, torch.Tensor | None, None]:
        call, (inputs,) = ctx.call, ctx.saved_tensors
        with without_autocast(outgoing):
            if call.book.is_trained(call.weight):
                call.book.enter(call.weight, _weight_use(call, inputs, outgoing))
            if call.book.is_trained(call.bias):
                rows = full(outgoing).flatten(2).sum(dim=2)
                call.book.enter(call.bias, WrittenOut(summed_over_views(rows, call.book)))
            if not ctx.needs_input_grad[1]:
                return None, None, None
            weight = call.weight.to(outgoing.dtype)
            found = call.backward(outgoing, inputs, weight, groups=call.groups, of_weight=False)
            return None, found.to(ctx.dtype), None


def _weight_use(call: _Call, inputs: torch.Tensor, outgoing: torch.Tensor) -> Use:
    use = _Patches(call, full(inputs), full(outgoing))
    if use.is_linear and outgoing[0, 0].numel() == 1 and call.book.views == 1 and call.book.is_used_once(call.weight):
        return SumOfOuterProducts(full(inputs).flatten(1).unsqueeze(1), full(outgoing).flatten(1).unsqueeze(1))
    if not call.book.is_used_once(call.weight) or not use.has_ghost_norm or use.writing_out_is_cheaper():
        return WrittenOut(use.per_picture())
    return use


class _Patches:
    """A convolution's weight as a use: at each position a product of an output's gradient and a patch of the input.

    Args:
        call: The layer's call.
        inputs: float32, (V * B, C, ...).
        outgoing: float32, (V * B, O, ...), gradients with respect to the outputs.
    """

    def __init__(self, call: _Call, inputs: torch.Tensor, outgoing: torch.Tensor) -> None:
        self._call = call
        self._inputs = inputs
        self._outgoing = outgoing
        self._kernel = tuple(call.weight.shape[2:])
        self._slides = all(step == 1 for step in call.stride)

    @property
    def has_ghost_norm(self) -> bool:
        """Groups have small weights, three axes are rare: those are written out."""
        return self._call.groups == 1 and len(self._kernel) == 2

    def writing_out_is_cheaper(self) -> bool:
        """By the shapes alone."""
        views, taps = self._call.book.views, math.prod(self._kernel)
        channels, outputs = self._inputs.shape[1], self._outgoing.shape[1]
        positions = views * math.prod(self._outgoing.shape[2:])
        if self._slides:
            ghost = (views * math.prod(self._inputs.shape[2:])) ** 2 * channels + positions**2 * (outputs + 4 * taps)
        else:
            ghost = positions**2 * (channels * taps + outputs)
        numbers = channels * taps * outputs
        kept = (self._inputs.numel() + self._outgoing.numel()) // self._call.book.pictures
        return writing_out_is_cheaper(product=self._product(), numbers=numbers, ghost=ghost, kept=kept)

    def _product(self) -> int:
        """Multiplications of the weight gradient, for each picture."""
        positions = self._call.book.views * math.prod(self._outgoing.shape[2:])
        return positions * self._call.weight.numel()

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear layer on each pixel."""
        one_pixel = all(size == 1 for size in self._kernel) and self._slides and not any(self._call.padding)
        return one_pixel and self._call.groups == 1

    def square_norms(self) -> torch.Tensor:
        """See `Use`."""
        outgoing = gram(self._by_picture(self._outgoing.flatten(2)))
        return square_norms_of(self._gram_of_patches(), outgoing)

    def per_picture(self) -> torch.Tensor:
        """See `Use`."""
        book, weight = self._call.book, self._call.weight
        if self.is_linear:
            inputs, outgoing = self._by_picture(self._inputs.flatten(2)), self._by_picture(self._outgoing.flatten(2))
            return torch.bmm(outgoing.transpose(1, 2), inputs).view(book.pictures, *weight.shape)
        if book.views == 1 and self._call.groups == 1 and self._product() >= _LARGE_ALONE:
            found = self._inputs.new_empty(book.pictures, *weight.shape)
            for one, inputs, outgoing in zip(found, self._inputs.split(1), self._outgoing.split(1), strict=True):
                one.copy_(self._call.backward(outgoing, inputs, found[0], groups=1, of_weight=True))
            return found
        # As one convolution with a group for each picture, whose batch are the views.
        inputs = self._inputs.reshape(book.views, -1, *self._inputs.shape[2:])
        outgoing = self._outgoing.reshape(book.views, -1, *self._outgoing.shape[2:])
        apart = self._inputs.new_empty(1).expand(book.pictures * len(weight), *weight.shape[1:])
        groups = book.pictures * self._call.groups
        found = self._call.backward(outgoing, inputs, apart, groups=groups, of_weight=True)
        return found.view(book.pictures, *weight.shape)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `Use`."""
        views = self._call.book.views
        weights = factors.to(self._outgoing.dtype)
        weights = weights.repeat(views) if views > 1 else weights
        weighted = self._outgoing * weights.view(-1, *[1] * (self._outgoing.dim() - 1))
        shape = self._inputs.new_empty(1).expand(self._call.weight.shape)
        return self._call.backward(weighted, self._inputs, shape, groups=self._call.groups, of_weight=True)

    def forget(self, pictures: torch.Tensor) -> None:
        """See `Use`."""
        rows = pictures.repeat(self._call.book.views)
        self._inputs, self._outgoing = self._inputs.clone(), self._outgoing.clone()
        self._inputs[rows] = 0.0
        self._outgoing[rows] = 0.0

    def _by_picture(self, rows: torch.Tensor) -> torch.Tensor:
        """(V * B, d, T) → (B, V * T, d), a view where there is one view."""
        book = self._call.book
        if book.views == 1:
            return rows.transpose(1, 2)
        width, positions = rows.shape[1:]
        apart = rows.view(book.views, book.pictures, width, positions).permute(1, 0, 3, 2)
        return apart.reshape(book.pictures, book.views * positions, width)

    def _gram_of_patches(self) -> torch.Tensor:
        """Inner products of all pairs of a picture's patches, float32, (B, T, T)."""
        if not self._slides:
            settings = (self._kernel, self._call.dilation, self._call.padding, self._call.stride)
            return gram(self._by_picture(F.unfold(self._inputs, *settings)))
        pixels = gram(self._by_picture(self._inputs.flatten(2)))
        return self._summed_over_taps(pixels)

    def _summed_over_taps(self, pixels: torch.Tensor) -> torch.Tensor:
        """From inner products of pixels to those of patches, which are sums of them."""
        views, (height, width) = self._call.book.views, self._inputs.shape[2:]
        (above, left), (down, right) = self._call.padding, self._call.dilation
        pixels = pixels.view(-1, views, height, width, views, height, width)
        if above or left:
            pixels = F.pad(pixels, (left, left, above, above, 0, 0, left, left, above, above))
        rows, columns = self._outgoing.shape[2:]
        total = pixels.new_zeros(len(pixels), views, rows, columns, views, rows, columns)
        for i in range(self._kernel[0]):
            for j in range(self._kernel[1]):
                y, x = slice(i * down, i * down + rows), slice(j * right, j * right + columns)
                total += pixels[:, :, y, x, :, y, x]
        return total.view(len(pixels), views * rows * columns, -1)
