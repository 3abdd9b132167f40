"""Sees every torch function that a model calls, and lets none touch a trained parameter but by a rule.

A gradient that the book does not see would be missing from the norms, so the choice is made here and fails closed: a
function with a rule is carried out by that rule, one that only reads a parameter's shape or computes one weight from
parameters is let through, and any other is refused by name.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from datasites.training.book_keeping.book import Book, Computed, InstantiatedGradient
from datasites.training.book_keeping.calls import full, summed_over_views, without_autocast
from datasites.training.book_keeping.convolution import convolution
from datasites.training.book_keeping.embedding import embedding
from datasites.training.book_keeping.linear import linear
from datasites.training.book_keeping.norms import group_norm, layer_norm
from datasites.training.graphs.copies import for_each_picture
from policies.errors import PlanError


class _Copies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, call: tuple[Book, torch.Tensor, int]) -> torch.Tensor:
        ctx.book, ctx.value, rows = call
        value = ctx.value.detach()
        return value.unsqueeze(0).expand(rows, *value.shape)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[None, None]:
        with without_autocast(grad_output):
            rows = summed_over_views(full(grad_output).contiguous(), ctx.book)
            ctx.book.enter(ctx.value, InstantiatedGradient(rows))
        return None, None


def _copies(book: Book, anchor: torch.Tensor, value: torch.Tensor, rows: int) -> torch.Tensor:
    """The rule of `for_each_picture`: what a copy's gradient is, is its picture's."""
    if rows != book.pictures * book.views:
        raise PlanError(
            f"A model asks for {rows} copies of a parameter; the batch has {book.pictures * book.views} rows."
        )
    book.announce(value)
    copies: torch.Tensor = _Copies.apply(anchor, (book, value, rows))
    return copies


_RULES: dict[Any, Callable[..., torch.Tensor]] = {
    F.linear: linear,
    F.conv1d: convolution,
    F.conv2d: convolution,
    F.conv3d: convolution,
    F.group_norm: group_norm,
    F.layer_norm: layer_norm,
    F.embedding: embedding,
    for_each_picture: _copies,
}
# What may be done with each picture's own copy of a parameter: nothing here lets pictures meet.
_ELEMENTWISE = {
    torch.add,
    torch.sub,
    torch.mul,
    torch.Tensor.add,
    torch.Tensor.add_,
    torch.Tensor.sub,
    torch.Tensor.mul,
    torch.Tensor.__add__,
    torch.Tensor.__radd__,
    torch.Tensor.__iadd__,
    torch.Tensor.__sub__,
    torch.Tensor.__mul__,
    torch.Tensor.__rmul__,
}
_ADVICE = "Use Conv, Linear, GroupNorm, LayerNorm or Embedding layers, or train the model with engine 'opacus'."


class Interception(TorchFunctionMode):
    """Carries out the layers of one forward pass by their rules.

    Args:
        book: Where the rules enter what they use.
        anchor: A tensor of shape () that needs a gradient, so that every rule's backward pass runs, also where neither
            inputs nor earlier layers need one.
        copies: The model's tensors, (V * B, ...), that hold one row for each picture in place of a
            parameter; see `engine`.
    """

    def __init__(self, book: Book, anchor: torch.Tensor, copies: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self._book = book
        self._anchor = anchor
        self._copies = {id(copy): name for name, copy in copies.items()}
        self._expanded: list[torch.Tensor] = []  # held, so that no other tensor gets its id
        self._rows = book.pictures * book.views

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = _tensors_in((args, kwargs)) if kwargs else _tensors_in(args)
        if self._copies and any(id(tensor) in self._copies for tensor in tensors):
            return self._with_copies(func, args, kwargs, tensors)
        trained = [tensor for tensor in tensors if self._book.is_trained(tensor)]
        if not trained:
            return func(*args, **kwargs)
        if func in _RULES:
            if any(tensor.requires_grad for tensor in tensors[1:] if not self._book.is_trained(tensor)):
                raise self._refusal(func, trained[0])  # a weight made of pictures, whose gradient no rule follows
            return _RULES[func](self._book, self._anchor, *args, **kwargs)
        if len(trained) == len(tensors):
            return self._computed(func, args, kwargs, trained)
        if isinstance(func, _PYTHON):
            with self:  # one that is written in Python: what it calls is seen in its place
                return func(*args, **kwargs)
        raise self._refusal(func, trained[0])

    def _computed(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], trained: list[torch.Tensor]
    ) -> Any:
        """Something made of parameters alone: a shape, say, or a standardised weight."""
        found = func(*args, **kwargs)
        made = _tensors_in(found)
        if any(one is tensor for one in made for tensor in trained) or (made and func in _IN_PLACE):
            raise self._refusal(func, trained[0])
        sources = list({id(source): source for tensor in trained for source in self._sources(tensor)}.values())
        for tensor in made:
            if tensor.requires_grad:
                self._book.computed[id(tensor)] = Computed(tensor, sources)
        return found

    def _sources(self, tensor: torch.Tensor) -> list[nn.Parameter]:
        computed = self._book.computed.get(id(tensor))
        return [tensor] if computed is None else computed.sources  # type: ignore[list-item]

    def _with_copies(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], tensors: list[torch.Tensor]
    ) -> Any:
        """A function of parameters of which each picture has its own copy."""
        copy = next(tensor for tensor in tensors if id(tensor) in self._copies)
        name = self._copies[id(copy)]
        if func in (torch.Tensor.expand, torch.Tensor.expand_as):
            found = func(*args, **kwargs)
            if found.dim() == copy.dim() and found.shape[0] == self._rows:
                self._copies[id(found)] = name
                self._expanded.append(found)
                return found
        elif func in (torch.cat, torch.concat, torch.concatenate):
            axis = kwargs.get("dim", args[1] if len(args) > 1 else 0)
            if axis not in (0, -copy.dim()) and all(tensor.shape[0] == self._rows for tensor in tensors):
                return func(*args, **kwargs)
        elif func in _ELEMENTWISE:
            if all(tensor.dim() == copy.dim() and tensor.shape[0] == self._rows for tensor in tensors):
                return func(*args, **kwargs)
        else:
            found = func(*args, **kwargs)
            if not _tensors_in(found):
                return found
        raise PlanError(
            f"Parameter {name!r} is used by {_spelling(func)}, which is not supported for a parameter that spreads "
            "over the pictures. It may be added to or multiplied with their features, or concatenated with them."
        )

    def _refusal(self, func: Any, tensor: torch.Tensor) -> PlanError:
        sources = self._sources(tensor)
        name = self._book.names[id(sources[0])]
        return PlanError(
            f"Parameter {name!r} is used by {_spelling(func)}, which has no per-picture gradient here. {_ADVICE}"
        )


_PYTHON = types.FunctionType
_IN_PLACE = {torch.Tensor.detach_, torch.Tensor.requires_grad_}


def _spelling(func: Any) -> str:
    return resolve_name(func) or getattr(func, "__name__", "a function")


def _tensors_in(values: Any) -> list[torch.Tensor]:
    """The tensors among arguments or results, in lists and tables too."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple | dict):
            found += _tensors_in(value)
    return found
