"""Bounds, steps, and what is done where a number is infinite or none: choices by comparisons."""

from __future__ import annotations

import torch

from researcher.captures.composed.compared import compared, opposite
from researcher.captures.composed.products import joined_so_far
from researcher.captures.number_translations import NUMBERS
from researcher.captures.translated import WHERE_THE_LARGEST_IS, Call, Translate, Untold, shape_of
from researcher.captures.writer import Operand, Ref

_FAR = 1e30


def _softplus(call: Call) -> Ref:
    """log(1 + exp(beta x)) / beta; from a threshold on torch gives x itself, which no number of float32 tells apart."""
    beta, value = float(call.plain("beta")), call.value("self")
    inside = value if beta == 1 else call.affine(value, beta, 0)
    found = call.add("softplus", inside)
    found = found if beta == 1 else call.affine(found, 1 / beta, 0)
    if call.plain("threshold") >= 20:
        return found
    beyond = compared(call, inside, torch.tensor(float(call.plain("threshold"))), "greater")
    return call.add("choose", beyond, value, found)


def _leaky(call: Call) -> Ref:
    """The number itself above 0, and a slope times it below."""
    value, slope = call.value("self"), float(call.plain("negative_slope"))
    if 0 <= slope <= 1:
        return call.add("leaky_relu", value, slope=slope)
    return call.add("choose", compared(call, value, torch.zeros(()), "greater"), value, call.affine(value, slope, 0))


def _bounded(call: Call) -> Operand:
    """Within bounds that are numbers, or values; a gradient goes to whichever it is."""
    found: Operand = call.value("self")
    bounds = [call.arguments.get(name) for name in ("min", "max")]
    if not any(isinstance(one, Ref | torch.Tensor) for one in bounds):
        return NUMBERS["clamp"](call)
    for name, bound in zip(("min", "max"), bounds, strict=True):
        if bound is not None:
            number = not isinstance(bound, Ref | torch.Tensor)
            end = torch.tensor(float(call.plain(name))) if number else call.floats(name)
            above, below = (end, found) if name == "min" else (found, end)
            beyond = compared(call, above, below, "greater")
            found = call.add("choose", beyond, end, found)
    return found


def _step(call: Call) -> Ref:
    """1 above 0 and 0 below, and of 0 a number that is given."""
    value, none = call.value("self"), torch.zeros(())
    at, above = (compared(call, value, none, operator) for operator in ("equal", "greater"))
    return call.add("choose", at, call.floats("values"), above)


def _finite(call: Call) -> Ref:
    """What is no number or infinite, less itself, is no number."""
    value = call.value("self")
    return compared(call, call.add("subtract", value, value), torch.zeros(()), "equal")


def _infinite(call: Call) -> Ref:
    value = call.value("self")
    found = call.add("multiply", compared(call, value, value, "equal"), opposite(call, _finite(call)))
    found.truth = True
    return found


def _made_finite(call: Call) -> Ref:
    """Numbers in place of what is no number, or infinite; of float32 the largest where none is named."""
    value, none = call.value("self"), torch.zeros(())
    far = torch.tensor(2.0**99), torch.tensor((2 - 2**-23) * 2.0**28)
    ends = [call.arguments[name] for name in ("posinf", "neginf")]
    low, high = (
        call.affine(call.add("multiply", *far, like=([], None)), sign, 0, like=([], None))
        if end is None
        else torch.tensor(float(end))
        for sign, end in ((-1, ends[1]), (1, ends[0]))
    )
    kept = call.add("choose", compared(call, value, none, "greater"), high, low)
    beyond = call.add("choose", _infinite(call), kept, value)
    return call.add("choose", compared(call, value, value, "equal"), beyond, torch.tensor(call.arguments["nan"] or 0.0))


def _greater_number(turned: bool) -> Translate:
    """The greater of two, or the lesser; of one that is no number the other."""

    def translate(call: Call) -> Ref:
        first, second = (call.writer.read(call.floats(name)) for name in ("self", "other"))
        above, below = (second, first) if turned else (first, second)
        order = compared(call, above, below, "at_least")
        none = opposite(call, compared(call, second, second, "equal", shape_of(second)))
        return call.add("choose", call.add("maximum", order, none), first, second)

    return translate


def _exponentials_so_far(call: Call) -> Ref:
    """log of the sums of exponentials along an axis so far, which no large number overflows."""
    value = call.value("self")
    like = shape_of(value)

    def join(one: Ref, before: Ref) -> Ref:
        apart = call.add("absolute", call.add("subtract", one, before, like=like), like=like)
        more = call.add("softplus", call.affine(apart, -1, 0, like=like), like=like)
        return call.add("add", call.add("maximum", one, before, like=like), more, like=like)

    return joined_so_far(call, value, -_FAR, join)


def _furthest_so_far(operator: str, none: float) -> Translate:
    """The largest or smallest number along an axis so far."""

    def translate(call: Call) -> Operand:
        value, like = call.value("self"), call.parts[0]
        found = joined_so_far(call, value, none, lambda one, before: call.add(operator, one, before, like=like))
        return [found, Untold(WHERE_THE_LARGEST_IS)]

    return translate


BOUNDED: dict[str, Translate] = {
    **dict.fromkeys(("clamp", "clamp_max", "clamp_min", "clip"), _bounded),
    "cummax": _furthest_so_far("maximum", -_FAR),
    "cummin": _furthest_so_far("minimum", _FAR),
    "fmax": _greater_number(turned=False),
    "fmin": _greater_number(turned=True),
    "heaviside": _step,
    "isfinite": _finite,
    "isinf": _infinite,
    "leaky_relu": _leaky,
    "logcumsumexp": _exponentials_so_far,
    "nan_to_num": _made_finite,
    "softplus": _softplus,
}
"""Translations by the names of torch's operators."""
