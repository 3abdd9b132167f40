"""Constants with a row for each picture, as `torch.zeros(x.shape[0], 8)` makes them: expanded over the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from researcher.captures.exported import size_of
from researcher.captures.translated import Call, Like, Repeated, Translate, Untranslatable
from researcher.captures.writer import Operand, Pair, Ref, Writer, spelled

ROWS = (
    "it makes a value of as many rows as the batch has pictures, in another way than alike for each. Let broadcasting "
    "do that"
)
# What gives each picture the same, whatever the batch size: of these alone a row for one picture is computed here.
_ALIKE = {"affine_grid_generator", "expand", "full", "new_full", "new_ones", "new_zeros", "ones", "repeat", "zeros"}
_FILLED = {"fill_value"}


def repeated(node: fx.Node, name: str, arguments: Mapping[str, Operand], given: Any, named: Any) -> Repeated:
    """What an operator makes of constants and the batch size, by what it makes for a batch of one.

    Args:
        node: As it was traced.
        name: Of its operator.
        arguments: By their names.
        given: Its arguments in order, with constants in their places.
        named: Those with names.

    Raises:
        Untranslatable: Pictures may get different numbers, or the batch size becomes a number.
    """
    symbolic = {key for key, value in arguments.items() if _of_batch(value)}
    if name not in _ALIKE or symbolic & _FILLED:
        raise Untranslatable(ROWS)
    function: Any = node.target
    one = function(*_for_one(given), **_for_one(named))
    shape, batch = size_of(node.meta["val"], node)
    told = one.is_floating_point() or one.is_complex() or one.dtype == torch.bool or name in ("expand", "repeat")
    if batch is None or list(one.shape) != shape or not told:
        raise Untranslatable(ROWS)
    return Repeated(one, batch)


def spread(writer: Writer, value: Repeated) -> Ref | Pair:
    """The same numbers for each picture, as a value of the graph.

    Raises:
        Untranslatable: They are no numbers to compute with.
    """
    one, batch = value.one, value.batch
    if one.is_complex():
        return Pair(*(_expanded(writer, part, batch) for part in (one.real, one.imag)))
    return _expanded(writer, one, batch)


def _expanded(writer: Writer, one: torch.Tensor, batch: int) -> Ref:
    truth = one.dtype == torch.bool
    if not one.is_floating_point() and not truth:
        raise Untranslatable(ROWS)
    one = one.to(torch.float32)
    shape = list(one.shape)
    if shape[batch] == 1:
        found = writer.add("expand", [one], (shape, batch), shape=spelled(shape, batch))
    else:
        apart = [*shape[:batch], 1, *shape[batch:]]
        wide = writer.add("expand", [one.reshape(apart)], (apart, batch), shape=spelled(apart, batch))
        found = writer.add("reshape", [wide], (shape, batch), shape=spelled(shape, batch))
    found.truth = truth
    return found


def _filled(number: float | None) -> Translate:
    """A value of one number, of a shape that the result has."""

    def translate(call: Call) -> Operand:
        fill = call.plain("fill_value") if number is None else number
        like: Like = call.like
        if call.dtype not in (torch.float32, torch.complex64, torch.bool):
            raise Untranslatable(ROWS)
        one = torch.full(like[0], fill, dtype=call.dtype)
        return one if like[1] is None else Repeated(one, like[1])

    return translate


def _of_batch(value: Operand) -> bool:
    entries = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, torch.SymInt | torch.SymFloat | torch.SymBool) for one in entries)


def _for_one(value: Any) -> Any:
    """Plain numbers in place of those that depend on the batch size, for a batch of one."""
    if isinstance(value, Repeated):
        return value.one
    if isinstance(value, torch.SymInt):
        return int(value.node.expr.subs(dict.fromkeys(value.node.expr.free_symbols, 1)))
    if isinstance(value, list | tuple):
        return [_for_one(one) for one in value]
    if isinstance(value, dict):
        return {key: _for_one(one) for key, one in value.items()}
    return value


FILLED: dict[str, Translate] = {
    "full_like": _filled(None),
    "new_full": _filled(None),
    "new_ones": _filled(1.0),
    "new_zeros": _filled(0.0),
    "ones_like": _filled(1.0),
    "zeros_like": _filled(0.0),
}
"""Translations by the names of torch's operators."""
