"""Products of gradients and inputs: sums over pictures, so few at a time that rounding cannot move them far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping.gram import (
    MOST_CANCELLATION,
    GhostNorms,
    InnerProducts,
    chain_for,
    lower_gram,
    roundings,
    square_lengths,
    square_norms_of_one,
)
from datasites.training.dp_sgd.weighted_sums import (
    TOGETHER,
    JoinedParts,
    add_in_groups,
    kept_bits,
    only_kept,
    parts_together,
    square_norms,
)

# Additions in one product times the length, in bounds C, of what is added up on the way: rounding in float32 then
# moves it by at most 2^-23 of this, 0.0026 C (docs/explanation-floating-point.md).
_MOST_ROUNDING = 21_000
MOST_POSITIONS = 1024  # above, one picture alone would take more
# Numbers of a layer's inputs and outputs up to which they are put beside other layers': calls would take longer.
_FEW = 1 << 17
_AT_ONCE = 1 << 18  # numbers of inputs that are multiplied in one go: they stay in the processor's cache
# Of inputs; up to so many, oneDNN's gradients of a group for each picture take twice as long as copies and products.
MOST_CHANNELS = 4
# Positions up to which a product for each tap takes half of the time of oneDNN's weight gradient, at two of them a
# fifth, and the channels on either side from which it does: of fewer, copies take longer than products.
_FEW_POSITIONS = 16
_MANY_CHANNELS = 128
_MOST_COPIED = 4  # numbers of the patches for each of the outputs: as many times their memory do copies take

_Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def pictures_together(positions: int) -> int:
    """How many pictures' products are added in float32, each the sum over `positions`.

    Each picture's sum is at most the bound long, and half of `MOST_CANCELLATION` bounds while it is added up.
    """
    if positions == 1:
        return TOGETHER
    part = 1 + MOST_CANCELLATION // 2  # what some of a picture's terms are together, in bounds, and a half besides
    on_the_way = {n: min(n + part, max(n / 2 + part, 2 * part - 0.5)) for n in range(1, TOGETHER + 1)}
    return max([n for n, length in on_the_way.items() if positions * n * length <= _MOST_ROUNDING], default=1)


def sum_of_products(
    inputs: torch.Tensor, grad_output: torch.Tensor, factors: torch.Tensor, *, positions: int, product: _Product
) -> torch.Tensor:
    """The sum over pictures of `product`, each times its factor.

    Guarantees:
        A picture whose factor is 0 adds exactly nothing, whatever its rows hold.

    Args:
        inputs: float32, (V * B, ...), the views being the slow axis.
        grad_output: float32, (V * B, ...), gradients with respect to the outputs.
        factors: float64, (B,); 0, or at least the smallest normal float32.
        positions: That a picture has in all its views.
        product: Takes rows of both, and returns float32, the sum of their products.

    Returns:
        float64, or float32 where it was added up in that.
    """
    pictures, together, start = len(factors), pictures_together(positions), 0
    views, total, parts = len(grad_output) // pictures, JoinedParts(together), math.ceil(pictures / together)
    weights, kept = factors.to(grad_output.dtype), kept_bits(factors, grad_output.dtype)
    for stop in [pictures * part // parts for part in range(1, parts + 1)]:
        a, g = (_of_pictures(rows, pictures, start, stop) for rows in (inputs, grad_output))
        own, bits = weights[start:stop], kept[start:stop]
        if views > 1:
            own, bits = own.repeat(views), bits.repeat(views)
        a, g = only_kept(a, bits), only_kept(g, bits)
        smaller = a if a.numel() < g.numel() else g
        smaller.mul_(own.view(-1, *[1] * (smaller.dim() - 1)))
        total.add(product(a, g))
        start = stop
    return total.sum()


def copying_is_better(shape: Sequence[int]) -> bool:
    """Whether `products_with_patches` is quicker for a weight, (O, C, *kernel), of one group: its patches are small."""
    few = len(shape) == 4 and shape[1] <= MOST_CHANNELS
    return few and math.prod(shape[1:]) <= _MOST_COPIED * shape[0]


def products_with_patches(
    inputs: torch.Tensor,
    grad_output: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """Each row's gradient of a convolution's weight: one matrix product with its patches, copied in whole lines.

    Args:
        inputs: float32, (N, C, H, W).
        grad_output: float32, (N, O, ...), gradients with respect to the outputs.
        kernel: Height and width.
        stride: Along both, like those that follow.
        padding: Likewise.
        dilation: Likewise.

    Returns:
        float32, (N, O, C * taps).
    """
    above, left = padding
    padded = F.pad(inputs, (left, left, above, above))
    row, channel, *pixels = padded.stride()
    taps, positions = (tuple(n * line for n, line in zip(each, pixels, strict=True)) for each in (dilation, stride))
    shape = (*padded.shape[:2], *kernel, *grad_output.shape[2:])
    patches = padded.as_strided(shape, (row, channel, *taps, *positions), padded.storage_offset())
    patches = patches.reshape(len(padded), -1, math.prod(shape[4:]))
    return torch.bmm(grad_output.reshape(len(padded), -1, patches.shape[2]), patches.transpose(1, 2))


def tap_by_tap_is_better(shape: Sequence[int], positions: int) -> bool:
    """Whether `products_by_taps` is the quicker way.

    Args:
        shape: Of the weight, (O, C, *kernel).
        positions: Of the outputs.
    """
    return len(shape) == 4 and positions <= _FEW_POSITIONS and min(shape[:2]) >= _MANY_CHANNELS


def products_by_taps(
    inputs: torch.Tensor,
    grad_output: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """The sum over rows of a convolution's weight gradients: for each tap one product with the pixels that it meets.

    Padding, most of what a kernel of 3 sees on a picture of 2, is not multiplied. Takes what `products_with_patches`
    does; returns float32, (O, C, *kernel).
    """
    pixels, outputs = (rows.permute(0, 2, 3, 1).contiguous() for rows in (inputs, grad_output))
    sizes = zip(kernel, pixels.shape[1:3], outputs.shape[1:3], stride, padding, dilation, strict=True)
    lines, columns = (_met_by_taps(*axis) for axis in sizes)
    found = inputs.new_empty(*kernel, outputs.shape[3], pixels.shape[3])
    for row, (of_outputs, of_pixels) in zip(found, lines, strict=True):
        for one, (across, along) in zip(row, columns, strict=True):
            g, a = outputs[:, of_outputs, across].flatten(0, 2), pixels[:, of_pixels, along].flatten(0, 2)
            torch.mm(g.t(), a, out=one)
    return found.permute(2, 3, 0, 1)


def _met_by_taps(
    taps: int, size: int, positions: int, stride: int, padding: int, dilation: int
) -> list[tuple[slice, slice]]:
    """For each tap of an axis the positions at which it meets a pixel, and these pixels; both as many."""
    met = []
    for shift in (tap * dilation - padding for tap in range(taps)):
        first = max(0, math.ceil(-shift / stride))
        many = max(0, min(positions, (size - 1 - shift) // stride + 1) - first)
        pixel = first * stride + shift if many else 0
        met.append((slice(first, first + many), slice(pixel, pixel + many * stride, stride)))
    return met


class SumOfOuterProducts(GhostNorms):
    """Gradients each of which is a sum over positions of an output's gradient times an input.

    Args:
        inputs: float32, (B, T, d).
        grad_output: float32, (B, T, p), gradients with respect to the outputs.
    """

    def __init__(self, inputs: torch.Tensor, grad_output: torch.Tensor) -> None:
        self._inputs = inputs
        self._grad_output = grad_output

    @property
    def is_one_small_product(self) -> bool:
        """Whether there is a single position, and few numbers."""
        return self._inputs.shape[1] == 1 and max(self._inputs.numel(), self._grad_output.numel()) <= _FEW

    def inner_products(self) -> InnerProducts | None:
        """See `GhostNorms.inner_products`."""
        if self._inputs.shape[1] == 1:  # a single product is as long as its factors' lengths say
            return None
        chain = chain_for(self._inputs.shape[1])
        rounded = roundings(self._inputs.shape[2], chain) + roundings(self._grad_output.shape[2], chain)
        grad_output = lower_gram(self._grad_output, doubled=True, chain=chain)
        return InnerProducts(lower_gram(self._inputs, chain=chain), grad_output, rounded)

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        if self._inputs.shape[1] > 1:
            return super().square_norms()
        measure = square_norms if self.is_one_small_product else square_lengths
        return square_norms_of_one(measure(self._inputs), measure(self._grad_output))

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return torch.bmm(self._grad_output.transpose(1, 2), self._inputs)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        rows, positions = (self._inputs, self._grad_output), self._inputs.shape[1]
        if positions == 1 and len(factors) > TOGETHER and rows[1].shape[2] <= TOGETHER:
            return _sum_of_single_products(rows[0].squeeze(1), rows[1].squeeze(1), factors)
        return sum_of_products(*rows, factors, positions=positions, product=_product)


class ProductsBeside:
    """Several layers' single products, measured and summed together.

    Args:
        layers: L, each `is_one_small_product`, of the same pictures and precision.
    """

    def __init__(self, layers: Sequence[SumOfOuterProducts]) -> None:
        self._widths = [layer._inputs.shape[2] for layer in layers]
        self._heights = [layer._grad_output.shape[2] for layer in layers]
        self._inputs = torch.cat([layer._inputs for layer in layers], dim=2).squeeze(1)
        self._grad_output = torch.cat([layer._grad_output for layer in layers], dim=2).squeeze(1)

    def square_norms(self) -> torch.Tensor:
        """Each layer's and picture's squared norm, float64, (L, B), as `SumOfOuterProducts.square_norms` gives it."""
        inputs = _square_lengths(self._inputs, self._widths)
        return square_norms_of_one(inputs, _square_lengths(self._grad_output, self._heights))

    def weighted_sums(self, factors: torch.Tensor) -> list[torch.Tensor]:
        """Each layer's `PerSampleGradient.weighted_sum`.

        Args:
            factors: float64, (B,); 0, or at least the smallest normal float32.

        Returns:
            float64, L of (p, d).
        """
        weights, kept = factors.to(self._inputs.dtype), kept_bits(factors, self._inputs.dtype)
        inputs, grad_output = only_kept(self._inputs, kept), only_kept(self._grad_output, kept).mul_(weights[:, None])
        sizes = [height * width for height, width in zip(self._heights, self._widths, strict=True)]
        total, found = torch.zeros(()), inputs.new_empty(sum(sizes))
        layers = zip(found.split(sizes), self._heights, self._widths, strict=True)
        out = [part.view(height, width) for part, height, width in layers]
        for start in range(0, len(factors), TOGETHER):
            a = inputs[start : start + TOGETHER].split(self._widths, dim=1)
            g = grad_output[start : start + TOGETHER].t().split(self._heights)
            for one, own, gradients in zip(out, a, g, strict=True):
                torch.mm(gradients, own, out=one)
            total = total.add_(found) if start else found.to(torch.float64, copy=True)
        return [part.view_as(one) for part, one in zip(total.split(sizes), out, strict=True)]


def _sum_of_single_products(inputs: torch.Tensor, grad_output: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """As `sum_of_products`, of many pictures' (B, d) and (B, p): (p, d). Takes fewer calls where rows are short."""
    weights, kept = factors.to(grad_output.dtype), kept_bits(factors, grad_output.dtype)
    together = TOGETHER * max(1, _AT_ONCE // (TOGETHER * max(1, inputs.shape[1])))
    total = torch.zeros(grad_output.shape[1], inputs.shape[1], dtype=torch.float64, device=inputs.device)
    weighted, memory = only_kept(grad_output, kept).mul_(weights[:, None]), inputs.new_empty(together, inputs.shape[1])
    whole, groups = len(inputs) // together * together, memory.view(-1, TOGETHER, inputs.shape[1])
    dtype = memory.dtype if len(groups) <= parts_together(TOGETHER) else torch.float64
    left = weighted[:whole].view(-1, TOGETHER, weighted.shape[1]).transpose(1, 2)
    parts = inputs[:whole].split(together), left.split(len(groups)), kept[:whole].split(together)
    for a, g, bits in zip(*parts, strict=True) if whole else ():
        only_kept(a, bits, memory.view(-1))
        total += torch.bmm(g, groups).sum(dim=0, dtype=dtype)
    add_in_groups(total, weighted[whole:], only_kept(inputs[whole:], kept[whole:]))
    return total


def _square_lengths(rows: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Squared lengths of parts of rows, (B, sum of sizes) → float64, (number of sizes, B)."""
    squares = rows.to(torch.float64, copy=True).square_()
    return torch.stack([part.sum(dim=1) for part in squares.split(sizes, dim=1)])


def _product(inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """(N, T, d) and (N, T, p) → (p, d)."""
    return grad_output.flatten(0, 1).t() @ inputs.flatten(0, 1)


def _of_pictures(rows: torch.Tensor, pictures: int, start: int, stop: int) -> torch.Tensor:
    """The rows of some pictures in all their views."""
    if len(rows) == pictures:
        return rows[start:stop]
    return rows.unflatten(0, (-1, pictures))[:, start:stop].flatten(0, 1)
