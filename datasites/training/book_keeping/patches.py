"""A convolution's weight: products of gradients and patches, of which the norms or the sums are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping.book import Book, InstantiatedGradient, PerSampleGradient
from datasites.training.book_keeping.calls import summed_over_views
from datasites.training.book_keeping.gram import (
    GhostNorms,
    InnerProducts,
    gram,
    lower_gram,
    roundings,
    writing_out_is_better,
)
from datasites.training.book_keeping.product_sums import (
    MOST_POSITIONS,
    SumOfOuterProducts,
    copying_is_better,
    products_by_taps,
    products_with_patches,
    sum_of_products,
    tap_by_tap_is_better,
)

_backward = torch.ops.aten.convolution_backward
# Multiplications from which one picture alone keeps the processor as busy as a group among many; measured. Groups of
# few channels fill no register.
_LARGE_ALONE = 25_000_000
_LARGE_ALONE_WITH_FEW_CHANNELS = 4_000_000
_FEW_CHANNELS = 16
# The widest depthwise kernel of which oneDNN has weight gradients, on a picture that is no smaller; of others they take
# five to thirty times as long as a slide of the outputs' gradient over the inputs.
_TAPS_WITH_A_KERNEL = 3
# From so many multiplications on, where channels lie side by side, a call for each picture is quicker than copying all.
_LARGE_ALONE_BY_CHANNEL = 300_000
_LARGE_ALONE_OF_OWN_CHANNELS = 500_000  # depthwise, where all pictures' channels stay side by side
# Above so many positions of a view, the one chain in which a slide adds them up could round by a hundred-thousandth.
_MOST_SLID = 1 << 15
# Up to so many positions, a slide over channels that lie side by side is quicker than a copy of them.
_FEW_POSITIONS = 16
# Multiplications in a matrix product that take as long as an addition of inner products that lie apart, and as copying
# a number of a patch; measured.
_MULTIPLICATIONS_PER_ADDITION = 60
_MULTIPLICATIONS_PER_COPY = 100


@dataclass(frozen=True)
class ConvolutionCall:
    """One call of a convolution.

    Attributes:
        book: Of the pass, over V views of B pictures.
        weight: (O, C / groups, ...).
        bias: (O,), or None.
        stride: One for each axis of positions, like those that follow.
        padding: Likewise.
        dilation: Likewise.
        groups: Of the channels.
    """

    book: Book
    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        return tuple(self.weight.shape)

    def backward(
        self, grad_output: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor, *, groups: int, of_weight: bool
    ) -> torch.Tensor:
        """Returns the gradient with respect to the weight, or else to the inputs.

        Args:
            grad_output: (N, O, ...), gradients with respect to the outputs.
            inputs: (N, C, ...).
            weight: Of the shape of the wanted weight; its values are read for the inputs' gradient alone.
            groups: Of the channels.
            of_weight: Which gradient is wanted.

        Returns:
            Of the shape of `weight`, or of `inputs`.
        """
        nowhere = [0] * len(self.stride)
        settings = (self.stride, self.padding, self.dilation, False, nowhere, groups)
        found = _backward(grad_output, inputs, weight, None, *settings, [not of_weight, of_weight, False])
        return found[1] if of_weight else found[0]


def weight_gradient(call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> PerSampleGradient:
    """Returns the per-sample gradients of a call's weight.

    Args:
        call: The layer's call.
        inputs: float32, (V * B, C, ...).
        grad_output: float32, (V * B, O, ...), gradients with respect to the outputs.
    """
    gradient = Patches(call, inputs, grad_output)
    once = call.book.is_used_once(call.weight)
    if gradient.is_linear and grad_output[0, 0].numel() == 1 and call.book.views == 1 and once:
        return SumOfOuterProducts(inputs.flatten(1).unsqueeze(1), grad_output.flatten(1).unsqueeze(1))
    written_out = not once or not gradient.has_ghost_norm or gradient.writing_out_is_better()
    return InstantiatedGradient(gradient.per_picture()) if written_out else gradient


class Patches(GhostNorms):
    """A convolution's weight: at each position a product of an output's gradient and a patch of the input.

    Args:
        call: The layer's call.
        inputs: float32, (V * B, C, ...).
        grad_output: float32, (V * B, O, ...), gradients with respect to the outputs.
    """

    def __init__(self, call: ConvolutionCall, inputs: torch.Tensor, grad_output: torch.Tensor) -> None:
        self._call = call
        self._inputs, self._grad_output = inputs, grad_output
        self._kernel = call.shape[2:]
        self._settings = (self._kernel, call.stride, call.padding, call.dilation)
        self._slides = all(step == 1 for step in call.stride)

    @property
    def positions(self) -> int:
        """Number of positions of a picture, in all its views."""
        return self._call.book.views * math.prod(self._grad_output.shape[2:])

    @property
    def has_ghost_norm(self) -> bool:
        """Groups have small weights, three axes are rare: those are written out."""
        return self._call.groups == 1 and len(self._kernel) == 2 and self.positions <= MOST_POSITIONS

    def writing_out_is_better(self) -> bool:
        """By the shapes alone."""
        positions, views, taps = self.positions, self._call.book.views, math.prod(self._kernel)
        channels, outputs = self._inputs.shape[1], self._grad_output.shape[1]
        if self._slides:
            pixels = views * math.prod(self._inputs.shape[2:])
            additions = _MULTIPLICATIONS_PER_ADDITION * taps if taps > 1 else 0
            ghost = pixels**2 * channels + positions**2 * (outputs + additions)
        else:
            patches = positions * channels * taps
            ghost = positions * patches + positions**2 * outputs + _MULTIPLICATIONS_PER_COPY * patches
        numbers = channels * taps * outputs
        kept = (self._inputs.numel() + self._grad_output.numel()) // self._call.book.pictures
        shapes = {"product": self._product(), "numbers": numbers, "ghost": ghost, "kept": kept}
        return writing_out_is_better(positions=positions, **shapes)

    def _product(self) -> int:
        """Multiplications of the weight gradient, for each picture."""
        return self.positions * math.prod(self._call.shape)

    def _is_large_alone(self) -> bool:
        grouped = self._call.groups > 1
        if grouped and not (self._is_depthwise() and self._has_own_kernel()):
            return False
        if _is_by_channel(self._inputs):
            return self._product() >= (_LARGE_ALONE_OF_OWN_CHANNELS if grouped else _LARGE_ALONE_BY_CHANNEL)
        large = _LARGE_ALONE_WITH_FEW_CHANNELS if self._inputs.shape[1] < _FEW_CHANNELS else _LARGE_ALONE
        return not grouped and self._product() >= large

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear layer on each pixel."""
        one_pixel = math.prod(self._kernel) == 1 and self._slides and not any(self._call.padding)
        return one_pixel and self._call.groups == 1

    def inner_products(self) -> InnerProducts:
        """See `GhostNorms.inner_products`."""
        grad_output = lower_gram(self._by_picture(self._grad_output.flatten(2)), doubled=True)
        channels, taps = self._inputs.shape[1], math.prod(self._kernel)
        patches = roundings(channels) + taps - 1 if self._slides else roundings(channels * taps)
        return InnerProducts(self._gram_of_patches(), grad_output, patches + roundings(self._grad_output.shape[1]))

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        book, shape = self._call.book, self._call.shape
        if self.is_linear:
            pixels = (self._by_picture(rows.flatten(2)) for rows in (self._grad_output, self._inputs))
            return torch.bmm(next(pixels).transpose(1, 2), next(pixels)).view(book.pictures, *shape)
        if book.views == 1 and self._is_large_alone():
            return self._one_after_the_other()
        if self._is_depthwise() and not self._has_own_kernel() and self.positions <= _MOST_SLID * book.views:
            return summed_over_views(self._slid().view(-1, *shape), book)
        if self._call.groups == 1 and copying_is_better(shape):
            found = products_with_patches(self._inputs, self._grad_output, *self._settings)
            return summed_over_views(found, book).view(book.pictures, *shape)
        # As one convolution with a group for each picture, whose batch are the views.
        inputs, grad_output = (
            _beside(rows, book.views, by_channel=self._is_depthwise() and _is_by_channel(rows))
            for rows in (self._inputs, self._grad_output)
        )
        apart = self._inputs.new_empty(1).expand(book.pictures * shape[0], *shape[1:])
        groups = book.pictures * self._call.groups
        found = self._call.backward(grad_output, inputs, apart, groups=groups, of_weight=True)
        return found.view(book.pictures, *shape)

    def _one_after_the_other(self) -> torch.Tensor:
        """Each picture's gradient from a call of its own, (B, *shape)."""
        found, call = self._inputs.new_empty(self._call.book.pictures, *self._call.shape), self._call
        for one, inputs, grad_output in zip(found, self._inputs.split(1), self._grad_output.split(1), strict=True):
            one.copy_(call.backward(grad_output, inputs, found[0], groups=call.groups, of_weight=True))
        return found

    def _is_depthwise(self) -> bool:
        """Whether each channel has a kernel of its own, of a picture's height and width."""
        channels = self._inputs.shape[1]
        return channels == self._call.groups == self._call.shape[0] and len(self._kernel) == 2

    def _has_own_kernel(self) -> bool:
        """Whether the processor's library has a function for the weight gradient of such a depthwise convolution."""
        fits = zip(self._kernel, self._inputs.shape[2:], strict=True)
        return all(taps <= min(_TAPS_WITH_A_KERNEL, size) for taps, size in fits)

    def _slid(self) -> torch.Tensor:
        """Each row's gradient of a depthwise weight: its outputs' gradient, as a kernel that slides over its inputs.

        Returns:
            float32, (V * B * C, 1, *kernel).
        """
        call, inputs = self._call, self._inputs
        channels, few = len(inputs) * inputs.shape[1], self._grad_output[0, 0].numel() <= _FEW_POSITIONS
        beside = _beside(inputs, 1, by_channel=few and _is_by_channel(inputs))
        sliding = self._grad_output.reshape(channels, 1, *self._grad_output.shape[2:])
        settings = (call.dilation, call.padding, call.stride, False, [0, 0], channels)
        found = torch.convolution(beside, sliding, None, *settings)
        return found[0, :, : self._kernel[0], : self._kernel[1]].reshape(channels, 1, *self._kernel)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        own = (self._inputs, self._grad_output, factors)
        return sum_of_products(*own, positions=self.positions, product=self._product_of)

    def _product_of(self, inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
        if self.is_linear:
            pixels = (rows.flatten(2).transpose(1, 2).flatten(0, 1) for rows in (grad_output, inputs))
            return (next(pixels).t() @ next(pixels)).view(self._call.shape)
        if tap_by_tap_is_better(self._call.shape, math.prod(grad_output.shape[2:])):  # of which no weight has groups
            return products_by_taps(inputs, grad_output, *self._settings)
        empty = inputs.new_empty(1).expand(self._call.shape)
        return self._call.backward(grad_output, inputs, empty, groups=1, of_weight=True)

    def _by_picture(self, rows: torch.Tensor) -> torch.Tensor:
        """(V * B, d, T) → (B, V * T, d), a view where there is one view."""
        book = self._call.book
        if book.views == 1:
            return rows.transpose(1, 2)
        apart = rows.view(book.views, book.pictures, *rows.shape[1:]).permute(1, 0, 3, 2)
        return apart.reshape(book.pictures, -1, rows.shape[1])

    def _gram_of_patches(self) -> torch.Tensor:
        """Inner products of a picture's patches, float32, (B, T, T): what `InnerProducts` takes of the inputs."""
        if not self._slides:
            kernel, stride, padding, dilation = self._settings
            return lower_gram(self._by_picture(F.unfold(self._inputs, kernel, dilation, padding, stride)))
        return self._summed_over_taps(gram(self._by_picture(self._inputs.flatten(2))))

    def _summed_over_taps(self, pixels: torch.Tensor) -> torch.Tensor:
        """From inner products of pixels to those of patches, which are sums of them."""
        views, (height, width) = self._call.book.views, self._inputs.shape[2:]
        _, _, (above, left), (down, right) = self._settings
        pixels = pixels.view(-1, views, height, width, views, height, width)
        if above or left:
            pixels = F.pad(pixels, (left, left, above, above, 0, 0, left, left, above, above))
        rows, columns = self._grad_output.shape[2:]
        total = pixels.new_zeros(len(pixels), views, rows, columns, views, rows, columns)
        for i in range(self._kernel[0]):
            for j in range(self._kernel[1]):
                y, x = slice(i * down, i * down + rows), slice(j * right, j * right + columns)
                total += pixels[:, :, y, x, :, y, x]
        return total.view(len(pixels), views * rows * columns, -1)


def _is_by_channel(rows: torch.Tensor) -> bool:
    """Whether the channels of a pixel lie side by side."""
    return rows.dim() == 4 and rows.is_contiguous(memory_format=torch.channels_last) and not rows.is_contiguous()


def _beside(rows: torch.Tensor, views: int, *, by_channel: bool) -> torch.Tensor:
    """All pictures' channels as channels of one: (V * B, C, ...) → (V, B * C, ...).

    Args:
        rows: Of each picture and view.
        views: V.
        by_channel: Whether a pixel's channels lie side by side, and shall then: copied in runs, not one by one.
    """
    if not by_channel:
        return rows.reshape(views, -1, *rows.shape[2:])
    apart = rows.unflatten(0, (views, -1)).permute(0, 3, 4, 1, 2)
    return apart.flatten(3).permute(0, 3, 1, 2)
