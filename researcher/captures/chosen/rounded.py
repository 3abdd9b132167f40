"""Whole numbers of others: each by `floor`, which no gradient passes, and comparisons where numbers lie between two."""

from __future__ import annotations

import torch

from researcher.captures.composed.compared import compared
from researcher.captures.number_translations import NUMBERS
from researcher.captures.translated import Call, Translate, shape_of
from researcher.captures.writer import Operand, Ref


def floor_of(call: Call, value: Ref) -> Ref:
    """The greatest whole number that is not above each."""
    return call.add("floor", value, like=shape_of(value))


def nearest_of(call: Call, value: Ref) -> Ref:
    """The nearest whole number, and the even one of two that are as near, as torch has it."""
    like = shape_of(value)
    low = floor_of(call, value)
    rest = call.add("subtract", value, low, like=like)
    half = call.affine(low, 0.5, 0, like=like)
    odd = compared(call, half, floor_of(call, half), "greater", like)
    between = call.add("multiply", compared(call, rest, torch.tensor(0.5), "equal", like), odd, like=like)
    above = call.add("add", compared(call, rest, torch.tensor(0.5), "greater", like), between, like=like)
    return call.add("add", low, above, like=like)


def towards_0(call: Call, value: Ref) -> Ref:
    """The whole number that is left without the digits behind the point."""
    like = shape_of(value)
    low, high = floor_of(call, value), _ceiling_of(call, value)
    return call.add("choose", compared(call, torch.zeros(()), value, "greater", like), high, low, like=like)


def _ceiling_of(call: Call, value: Ref) -> Ref:
    like = shape_of(value)
    return call.affine(floor_of(call, call.affine(value, -1, 0, like=like)), -1, 0, like=like)


def _down(call: Call) -> Ref:
    return floor_of(call, call.value("self"))


def _up(call: Call) -> Ref:
    return _ceiling_of(call, call.value("self"))


def _nearest(call: Call) -> Ref:
    """To a number of digits too, as torch has it: of so many times the number."""
    value, digits = call.value("self"), call.arguments.get("decimals") or 0
    if digits == 0:
        return nearest_of(call, value)
    scale = 10.0 ** abs(digits)
    wider = torch.tensor(scale)
    first, last = ("multiply", "divide") if digits > 0 else ("divide", "multiply")
    return call.add(last, nearest_of(call, call.add(first, value, wider)), wider)


def _cut(call: Call) -> Ref:
    return towards_0(call, call.value("self"))


def _behind_the_point(call: Call) -> Ref:
    value = call.value("self")
    return call.add("subtract", value, towards_0(call, value))


def _operand(call: Call, name: str) -> Operand:
    given = call.arguments[name]
    return call.floats(name) if isinstance(given, Ref | torch.Tensor) else torch.tensor(float(call.plain(name)))


def _quotient(call: Call) -> Ref:
    return call.add("divide", _operand(call, "self"), _operand(call, "other"))


def _whole_quotient(call: Call) -> Ref:
    return floor_of(call, _quotient(call))


def _divided(call: Call) -> Operand:
    kind = call.arguments.get("rounding_mode")
    if kind is None:
        return NUMBERS["div"](call)
    return floor_of(call, _quotient(call)) if kind == "floor" else towards_0(call, _quotient(call))


def _rest(rounded: str) -> Translate:
    """What is left of a number after as many times another as fit in it."""

    def translate(call: Call) -> Ref:
        quotient = _quotient(call)
        times = floor_of(call, quotient) if rounded == "floor" else towards_0(call, quotient)
        return call.add("subtract", _operand(call, "self"), call.add("multiply", times, _operand(call, "other")))

    return translate


ROUNDED: dict[str, Translate] = {
    **dict.fromkeys(("fix", "trunc"), _cut),
    "ceil": _up,
    "div": _divided,
    "floor": _down,
    "floor_divide": _whole_quotient,
    "fmod": _rest("trunc"),
    "frac": _behind_the_point,
    "remainder": _rest("floor"),
    "round": _nearest,
}
"""Translations by the names of torch's operators."""
