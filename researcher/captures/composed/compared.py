"""Comparisons of picture values, what is chosen by them, and truth values: written as numbers that are 0 or 1."""

from __future__ import annotations

import math

import torch

from researcher.captures.composed.rows import FILLED
from researcher.captures.copy_translations import COPIES
from researcher.captures.move_translations import MOVES
from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref

_FAR = 1e30
_IN_PART = "it writes into a part of a value. Put the parts together with torch.cat, or use torch.where with a mask"
_ROUNDED = "it makes whole numbers of others, which has no gradient. Keep them float32, or compare them"
_OF_WHOLE_NUMBERS = "it works on the bits of whole numbers. Compare, and combine what is true"


def compared(call: Call, first: Operand, second: Operand, operator: str, like: Like | None = None) -> Ref:
    """1 where a comparison of two operands holds, else 0; of what is no number it does not hold, as in torch."""
    found = call.add(operator, first, second, like=like)
    found.truth = True
    return found


def opposite(call: Call, value: Ref) -> Ref:
    """1 for 0 and 0 for 1."""
    found = call.affine(value, -1, 1, like=shape_of(value))
    found.truth = True
    return found


def truth_of(call: Call, value: Operand) -> Operand:
    """What torch takes a number for: true unless it is 0, so also what is no number."""
    if isinstance(value, torch.Tensor):
        return value.to(torch.bool).to(torch.float32)
    return value if value.truth else opposite(call, compared(call, value, torch.zeros(()), "equal", shape_of(value)))


def _operand(call: Call, name: str) -> Operand:
    """A value, or a number, to compare with."""
    given = call.arguments[name]
    if isinstance(given, Ref | torch.Tensor):
        found = call.floats(name)
        far = isinstance(found, torch.Tensor) and not bool((found.abs() <= _FAR).all())
    else:
        number = float(call.plain(name))
        found, far = torch.tensor(number, dtype=torch.float32), not math.fabs(number) <= _FAR
    if far:
        raise Untranslatable("it compares with a number that no graph can hold. Compare with one up to 1e30")
    return found


def _comparison(operator: str, *, turned: bool = False, not_so: bool = False) -> Translate:
    def translate(call: Call) -> Ref:
        names = ("other", "self") if turned else ("self", "other")
        first, second = (_operand(call, name) for name in names)
        found = compared(call, first, second, operator)
        return opposite(call, found) if not_so else found

    return translate


def _no_number(call: Call) -> Ref:
    """Only what is no number differs from itself."""
    value = call.value("self")
    return opposite(call, compared(call, value, value, "equal"))


def _joined(operator: str, *, bits: bool) -> Translate:
    """Truth values combined: and as a product, or as the greater of both, either as a comparison of both."""

    def translate(call: Call) -> Ref:
        if bits and call.dtype != torch.bool:
            raise Untranslatable(_OF_WHOLE_NUMBERS)
        first, second = (truth_of(call, _operand(call, name)) for name in ("self", "other"))
        if operator == "equal":
            return opposite(call, compared(call, first, second, "equal"))
        return call.add(operator, first, second)

    return translate


def _negated(bits: bool) -> Translate:
    def translate(call: Call) -> Ref:
        if bits and call.dtype != torch.bool:
            raise Untranslatable(_OF_WHOLE_NUMBERS)
        value: Ref = truth_of(call, call.value("self"))
        return opposite(call, value)

    return translate


def _over_truths(operator: str) -> Translate:
    """Whether any number over axes is true, or all are, or how many."""

    def translate(call: Call) -> Ref:
        value: Ref = truth_of(call, call.value("self"))
        axes = call.axes(call.plain("dim") if "dim" in call.arguments else None, value)
        return call.add(operator, value, axes=axes, keep=bool(call.arguments.get("keepdim", False)))

    return translate


def chosen(call: Call, condition: Ref, first: Operand, second: Operand) -> Ref:
    """One of two operands, number by number, with the gradient of that one alone."""
    if not condition.truth:
        raise Untranslatable("its condition is no comparison. Compare, as in x > 0, and choose by that")
    return call.add("choose", condition, first, second)


def filling(call: Call, name: str) -> Operand:
    """A value to choose; a number is one of float32."""
    given = call.arguments[name]
    if isinstance(given, Ref | torch.Tensor):
        return call.floats(name)
    number = float(call.plain(name))
    if call.dtype == torch.bool:
        number = float(bool(number))
    elif not call.dtype.is_floating_point and number != int(number):
        raise Untranslatable("it fills whole numbers with one that is none. Make them float32 first")
    return torch.tensor(number, dtype=torch.float32)


def _where(call: Call) -> Ref:
    condition, either = call.arguments["condition"], [filling(call, name) for name in ("self", "other")]
    if isinstance(condition, Ref):
        return chosen(call, condition, *either)
    return call.add("where", condition, *either)


def _masked_fill(call: Call) -> Ref:
    mask, given = call.arguments["mask"], call.floats("self")
    if isinstance(mask, Ref):
        return chosen(call, mask, filling(call, "value"), given)
    return call.add("where", mask, filling(call, "value"), given)


def _written(call: Call) -> Ref:
    """Where `x[mask] = number` is written: a choice, of a mask with the first axes of x."""
    value, indices, new = call.floats("self"), call.arguments["indices"], call.arguments["values"]
    mask = indices[0] if len(indices) == 1 else None
    true = mask.truth if isinstance(mask, Ref) else isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
    if mask is None or not true or call.arguments.get("accumulate") or math.prod(new.shape) != 1:
        raise Untranslatable(_IN_PART)
    shape, batch = call.like
    like: Like = ([*mask.shape, *[1] * (len(shape) - len(mask.shape))], batch)
    number = new.to(torch.float32).reshape(()) if isinstance(new, torch.Tensor) else filling(call, "values")
    if isinstance(mask, torch.Tensor):
        return call.add("where", mask.reshape(like[0]), number, value)
    if len(mask.shape) != len(shape):
        sizes = [["B", size] if axis == mask.batch else size for axis, size in enumerate(like[0])]
        mask = call.add("reshape", mask, like=(like[0], mask.batch), shape=sizes)
        mask.truth = True
    return chosen(call, mask, number, value)


def _sign(call: Call) -> Ref:
    value, none = call.value("self"), torch.zeros(())
    above, below = compared(call, value, none, "greater"), compared(call, none, value, "greater")
    return call.add("subtract", above, below)


def _hard_shrink(call: Call) -> Ref:
    """0 between two bounds, and the number itself beyond them."""
    value, bound = call.value("self"), float(call.plain("lambd"))
    low, high = (torch.tensor(number, dtype=torch.float32) for number in (-bound, bound))
    inside = call.add("multiply", compared(call, value, low, "at_least"), compared(call, high, value, "at_least"))
    return call.add("choose", inside, torch.zeros(()), value)


def _threshold(call: Call) -> Ref:
    """The number above a threshold, and another one up to it."""
    value = call.value("self")
    bound, other = (torch.tensor(float(call.plain(name)), dtype=torch.float32) for name in ("threshold", "value"))
    return call.add("choose", compared(call, bound, value, "at_least"), other, value)


COMPARED: dict[str, Translate] = {
    "__and__": _joined("multiply", bits=True),
    "__or__": _joined("maximum", bits=True),
    "__xor__": _joined("equal", bits=True),
    "all": _over_truths("smallest"),
    "any": _over_truths("largest"),
    "bitwise_and": _joined("multiply", bits=True),
    "bitwise_not": _negated(bits=True),
    "bitwise_or": _joined("maximum", bits=True),
    "bitwise_xor": _joined("equal", bits=True),
    "eq": _comparison("equal"),
    "ge": _comparison("at_least"),
    "greater": _comparison("greater"),
    "greater_equal": _comparison("at_least"),
    "gt": _comparison("greater"),
    "isnan": _no_number,
    "le": _comparison("at_least", turned=True),
    "less": _comparison("greater", turned=True),
    "less_equal": _comparison("at_least", turned=True),
    "logical_and": _joined("multiply", bits=False),
    "logical_not": _negated(bits=False),
    "logical_or": _joined("maximum", bits=False),
    "logical_xor": _joined("equal", bits=False),
    "lt": _comparison("greater", turned=True),
    "masked_fill": _masked_fill,
    "ne": _comparison("equal", not_so=True),
    "not_equal": _comparison("equal", not_so=True),
    "where": _where,
}
"""Translations by the names of torch's operators; what they give is numbers, or 0 and 1 in place of truth values."""

CHOSEN: dict[str, Translate] = {
    "count_nonzero": _over_truths("sum"),
    "hardshrink": _hard_shrink,
    "index_put": _written,
    "sign": _sign,
    "threshold": _threshold,
}
"""Translations of what compares and chooses within, and so is written as several operators."""

_WHOLE = {"argmax", "argmin", "argsort", "bucketize", "count_nonzero"}
_TRUE_AS_WELL = {
    *COMPARED,
    *MOVES,
    *COPIES,
    *FILLED,
    "amax",
    "amin",
    "copy",
    "fill",
    "index_put",
    "isfinite",
    "isinf",
    "maximum",
    "minimum",
    "mul",
}


def as_numbers(call: Call, value: Operand, source: torch.dtype) -> Operand:
    """A value in the type that its result has in torch, where a graph can say it.

    Args:
        call: Whose result is of that type.
        value: What it is given.
        source: Its type in torch.

    Raises:
        Untranslatable: Numbers would be rounded, or computed with in another precision.
    """
    wanted = call.dtype
    if wanted == torch.bool:
        return truth_of(call, value)
    if wanted == torch.float32:
        return value.to(wanted) if isinstance(value, torch.Tensor) else value
    if wanted.is_floating_point or wanted.is_complex:
        raise Untranslatable(f"it computes in {wanted}. Use float32 throughout")
    known = isinstance(value, Ref) and value.truth
    if not known and (source.is_floating_point or wanted not in (torch.int32, torch.int64)):
        raise Untranslatable(_ROUNDED)
    return value


def settle(call: Call, name: str, found: Operand, *, of_floats: bool) -> None:
    """Looks that a result which torch has no floats for is one that a graph's floats are too, and notes truth values.

    Args:
        call: As it was translated.
        name: Of torch's operator.
        found: What it gives, one value or a list.
        of_floats: Whether torch computes it from floats.

    Raises:
        Untranslatable: Floats would be rounded, or truth values computed with as if they were numbers.
    """
    if call.dtype == torch.bool:
        if name not in _TRUE_AS_WELL:
            raise Untranslatable("it computes with truth values. Make them numbers before, with .float()")
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, Ref):
                one.truth = True
    elif of_floats and not call.dtype.is_floating_point and name not in _WHOLE:
        raise Untranslatable(_ROUNDED)
