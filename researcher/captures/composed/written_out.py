"""Functions of torch that ask something of the batch size which holds for some alone: written out while traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class WrittenOut(TorchFunctionMode):
    """Products of three values or more go two by two, picks bring both to one shape, distances lead to no batch."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.functional.einsum and not named:
            return _einsum(func, *args)
        if name == "take_along_dim":
            return _taken(func, *args, **named)
        if func is torch.cdist:
            return _distances(func, *args, **named)
        if name == "linalg_solve" and len(args) == 2:
            return func(args[0], _one_for_all(*args), **named)
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


def _distances(
    cdist: Callable[..., Any], x1: torch.Tensor, x2: torch.Tensor, p: float = 2.0, compute_mode: str | None = None
) -> Any:
    """Of rows that are pictures, from rows that are none, as of a codebook."""
    symbols = [not isinstance(value.shape[-2], int) for value in (x1, x2)]
    if symbols.count(True) != 1:
        return cdist(x1, x2, p)
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)


def _one_for_all(matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """One right side for the matrices of all pictures, which is never a vector for each, however many they are."""
    fewer = right.dim() == matrices.dim() - 1 and all(isinstance(size, int) for size in right.shape)
    return right.unsqueeze(0) if fewer and not isinstance(matrices.shape[0], int) else right


def _is_one(size: Any) -> bool:
    """Whether a length is 1, whatever the batch size."""
    return isinstance(size, int) and size == 1
