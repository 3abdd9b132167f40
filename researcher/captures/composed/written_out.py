"""Functions of torch that ask something of the batch size which holds for some alone: written out while traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class WrittenOut(TorchFunctionMode):
    """Where products of three values or more go two by two, and picks along an axis bring both to one shape before."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.functional.einsum and not named:
            return _einsum(func, *args)
        if name == "take_along_dim":
            return _taken(func, *args, **named)
        return func(*args, **named)


def _einsum(einsum: Callable[..., Any], equation: Any, *values: Any) -> Any:
    """Of three values or more: the first two, of which every letter stays that a later one or the result names."""
    values = tuple(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else values
    left, arrow, out = equation.replace(" ", "").partition("->") if isinstance(equation, str) else ("", "", "")
    parts = left.split(",")
    if len(values) < 3 or not arrow or len(parts) != len(values):
        return einsum(equation, *values)
    later = out + "".join(parts[2:])
    both = (parts[0] + parts[1]).replace("...", "")
    kept = "".join(dict.fromkeys(letter for letter in both if letter in later))
    kept = ("..." if "..." in parts[0] + parts[1] else "") + kept
    first = einsum(f"{parts[0]},{parts[1]}->{kept}", *values[:2])
    return _einsum(einsum, ",".join((kept, *parts[2:])) + "->" + out, first, *values[2:])


def _taken(take: Callable[..., Any], value: torch.Tensor, indices: torch.Tensor, dim: int | None = None) -> Any:
    if dim is None or value.dim() != indices.dim():
        return take(value, indices, dim)
    axis = dim % value.dim()
    both = list(zip(value.shape, indices.shape, strict=True))
    value = value.expand(
        [-1 if place == axis or not _is_one(own) else other for place, (own, other) in enumerate(both)]
    )
    indices = indices.expand(
        [-1 if place == axis or not _is_one(other) else own for place, (own, other) in enumerate(both)]
    )
    return value.gather(axis, indices)


def _is_one(size: Any) -> bool:
    """Whether a length is 1, whatever the batch size."""
    return isinstance(size, int) and size == 1
