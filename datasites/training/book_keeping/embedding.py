"""The rule of embeddings: a picture's gradient touches only the rows of its own tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.book_keeping.book import Book, InstantiatedGradient
from datasites.training.book_keeping.calls import check_rows, full, name_of, positions_by_picture
from datasites.training.book_keeping.gram import GhostNorms, InnerProducts, lower_gram, roundings
from datasites.training.dp_sgd.weighted_sums import full_precision, only_weighted
from policies.errors import PlanError


def embedding(
    book: Book,
    anchor: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> torch.Tensor:
    """Computes `torch.nn.functional.embedding`, and on the way back enters what it uses into `book`.

    Args:
        book: Of the pass, over V views of B pictures.
        anchor: As `linear` takes it.
        input: Whole numbers, (V * B, ...).
        weight: (vocabulary, d).
        padding_idx: The row that is not trained, or None.
        max_norm: Not supported: None.
        norm_type: Of `max_norm`.
        scale_grad_by_freq: Not supported: False.
        sparse: Not supported: False.

    Returns:
        (V * B, ..., d).

    Raises:
        PlanError: A setting that is not supported.
    """
    check_rows(book, input, weight, "embedding")
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise PlanError(
            f"Parameter {name_of(book, weight)!r}: an embedding with max_norm, scale_grad_by_freq or sparse is not "
            "supported under differential privacy. Leave these settings at their defaults."
        )
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(weight)
    book.announce(weight)
    return _Embedding.apply(anchor, input, _Call(book, weight, padding_idx))


@dataclass(frozen=True)
class _Call:
    book: Book
    weight: torch.Tensor
    padding: int | None


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, tokens: torch.Tensor, call: _Call) -> torch.Tensor:
        ctx.call = call
        ctx.save_for_backward(tokens)
        return F.embedding(tokens, call.weight)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, None, None]:
        call, (tokens,) = ctx.call, ctx.saved_tensors
        with full_precision(grad_output.device.type):
            grad_output = full(grad_output)
            if call.padding is not None:
                grad_output = grad_output.masked_fill((tokens == call.padding)[..., None], 0.0)
            positions = positions_by_picture(grad_output, call.book)
            own = positions_by_picture(tokens[..., None].to(torch.int64), call.book)[..., 0]
            gradient = _Rows(own, positions, tuple(call.weight.shape))
            once = call.book.is_used_once(call.weight)
            call.book.enter(call.weight, gradient if once else InstantiatedGradient(gradient.per_picture()))
        return None, None, None


class _Rows(GhostNorms):
    """An embedding's weight as a use.

    Args:
        tokens: int64, (B, T).
        grad_output: float32, (B, T, D).
        shape: (V, D) of the weight.
    """

    def __init__(self, tokens: torch.Tensor, grad_output: torch.Tensor, shape: tuple[int, ...]) -> None:
        self._tokens = tokens
        self._grad_output = grad_output
        self._shape = shape

    def inner_products(self) -> InnerProducts:
        """See `GhostNorms`."""
        same = (self._tokens[:, :, None] == self._tokens[:, None, :]).to(self._grad_output.dtype)
        return InnerProducts(same, lower_gram(self._grad_output, doubled=True), roundings(self._shape[1]))

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient`."""
        pictures, rows = len(self._tokens), self._shape[0]
        offsets = torch.arange(pictures, device=self._tokens.device)[:, None] * rows
        flat = self._grad_output.new_zeros(pictures * rows, self._shape[1])
        flat.index_add_(0, (self._tokens + offsets).flatten(), self._grad_output.flatten(0, 1))
        return flat.view(pictures, *self._shape)

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient`."""
        weighted = only_weighted(self._grad_output, factors).to(torch.float64) * factors[:, None, None]
        total, tokens, numbers = weighted.new_zeros(self._shape), self._tokens.flatten(), weighted.flatten(0, 1)
        if weighted.is_cuda:  # which would add in an order of chance
            return total.index_put_((tokens,), numbers, accumulate=True)
        return total.index_add_(0, tokens, numbers)
