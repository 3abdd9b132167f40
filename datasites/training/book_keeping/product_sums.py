"""Sums over pictures of products of gradients and inputs, so few at a time that rounding cannot move them far."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from datasites.training.book_keeping.gram import MOST_CANCELLATION
from datasites.training.dp_sgd.weighted_sums import TOGETHER, only_weighted

# Additions in one product times the length, in bounds C, that what is added up can have on the way: rounding in
# float32 then moves it by at most 2^-23 of this, 0.0026 C. See docs/explanation-floating-point.md.
_MOST_ROUNDING = 21_000
# Above this many positions, one picture alone would take more.
MOST_POSITIONS = 1024

_Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def pictures_together(positions: int) -> int:
    """How many pictures' products are added in float32, each the sum over `positions`.

    Each picture's sum is at most the bound long, and half of `MOST_CANCELLATION` bounds while it is added up.
    """
    if positions == 1:
        return TOGETHER
    many = range(1, TOGETHER + 1)
    return max([n for n in many if positions * n * (n + 1 + MOST_CANCELLATION // 2) <= _MOST_ROUNDING], default=1)


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
        float64.
    """
    pictures = len(factors)
    parts = factors.to(grad_output.dtype).tensor_split(math.ceil(pictures / pictures_together(positions)))
    views, start = len(grad_output) // pictures, 0
    sums: list[torch.Tensor] = []
    for part in parts:
        own, stop = part.repeat(views), start + len(part)
        a, g = (_of_pictures(rows, pictures, start, stop) for rows in (inputs, grad_output))
        weighted = only_weighted(g, own).mul_(own.view(-1, *[1] * (g.dim() - 1)))
        found = product(only_weighted(a, own), weighted)
        sums = [sums[0].add_(found)] if sums else [found.to(torch.float64)]
        start = stop
    return sums[0]


def _of_pictures(rows: torch.Tensor, pictures: int, start: int, stop: int) -> torch.Tensor:
    """The rows of some pictures in all their views."""
    if len(rows) == pictures:
        return rows[start:stop]
    return rows.unflatten(0, (-1, pictures))[:, start:stop].flatten(0, 1)
