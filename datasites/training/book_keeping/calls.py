"""Shared by the rules of all layers: the precision of their products, and which rows belong to which picture."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from datasites.training.book_keeping.book import Book
from datasites.training.dp_sgd import weighted_sums
from policies.errors import PlanError


def working_dtype(inputs: torch.Tensor) -> torch.dtype:
    """Returns the precision in which a layer multiplies: autocast's where it is on, else that of its inputs.

    Args:
        inputs: What the layer is given, of any shape.
    """
    device = inputs.device.type
    if device == "meta":
        return inputs.dtype
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else inputs.dtype


def without_autocast(tensor: torch.Tensor) -> AbstractContextManager[object]:
    """Switches autocast off: a backward pass computes in the precision of what it was given.

    Args:
        tensor: On the device that is meant, of any shape.
    """
    return weighted_sums.without_autocast(tensor.device.type)


def full(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor of the same shape in float32, or as it is in float64.

    Norms and sums in half precision would loosen the bound.

    Args:
        tensor: Of any shape.
    """
    wanted = full_dtype(tensor)
    return tensor if tensor.dtype == wanted else tensor.to(wanted)


def full_dtype(tensor: torch.Tensor) -> torch.dtype:
    """The precision in which norms and sums of a tensor are taken.

    Args:
        tensor: Of any shape.
    """
    return tensor.dtype if tensor.dtype == torch.float64 else torch.float32


def on_gpu(inputs: torch.Tensor) -> bool:
    """Whether launches cost more there than the memory that fewer of them take.

    Args:
        inputs: Of the layer, of any shape.
    """
    return inputs.is_cuda


def with_kernels(book: Book, inputs: torch.Tensor) -> bool:
    """Whether a layer's gradients are made by the kernels of `training.gpu`, which take no float64.

    Args:
        book: Of the pass.
        inputs: Of the layer, of any shape.
    """
    return book.kernels and inputs.dtype != torch.float64


def check_rows(book: Book, inputs: torch.Tensor, weight: torch.Tensor, kind: str) -> None:
    """Refuses inputs whose first axis is not that of the pictures: rows could not be told apart.

    Args:
        book: Of the pass, with V and B.
        inputs: What the layer is given; it must be (V * B, ...).
        weight: The layer's weight, of any shape; names the parameter in the refusal.
        kind: What the layer is, for the refusal.

    Raises:
        PlanError: With what the layer must be given.
    """
    rows = book.pictures * book.views
    if inputs.dim() < 2 or inputs.shape[0] != rows:
        raise PlanError(
            f"Parameter {name_of(book, weight)!r}: the {kind} takes inputs of shape {tuple(inputs.shape)}, whose first "
            f"axis is not the {rows} pictures of the batch. Keep the pictures on the first axis."
        )


def name_of(book: Book, tensor: object) -> str:
    """The parameter's name, for messages."""
    if id(tensor) in book.computed:
        return book.names[id(book.computed[id(tensor)].sources[0])]
    return book.names.get(id(tensor), "a parameter")


def summed_over_views(rows: torch.Tensor, book: Book) -> torch.Tensor:
    """Adds each picture's views up: (V * B, ...) → (B, ...)."""
    if book.views == 1:
        return rows
    return rows.view(book.views, book.pictures, *rows.shape[1:]).sum(0)


def positions_by_picture(rows: torch.Tensor, book: Book) -> torch.Tensor:
    """Puts each picture's positions in all its views side by side: (V * B, ..., d) → (B, T, d)."""
    if book.views > 1:
        rows = rows.reshape(book.views, book.pictures, -1, rows.shape[-1]).transpose(0, 1)
    return rows.reshape(book.pictures, -1, rows.shape[-1])
