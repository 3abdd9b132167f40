"""Angles of numbers, which graphs have no operator for: a value without a gradient, and one step of Newton's from it.

The step has the angle's own gradient, and brings a value that is right to some digits to all that float32 holds.
"""

from __future__ import annotations

import math

import torch

from researcher.captures.composed.compared import compared
from researcher.captures.translated import Call, Like, Translate, shape_of
from researcher.captures.writer import Operand, Ref

# Of the angle whose tangent is x, over x, in x squared, for x from 0 to 1; right to five digits.
_TERMS = (0.9998660, -0.3302995, 0.1801410, -0.0851330, 0.0208351)
_FAR = 1e30


def angle_of(call: Call, high: Ref, wide: Ref, like: Like | None = None) -> Ref:
    """The angle from the first axis to a place, from minus to plus pi; 0 where both numbers are 0.

    Args:
        call: Whose node it becomes.
        high: The place's second number.
        wide: Its first, of the same shape when broadcast.
        like: Shape of the result, where it is another than the call's.
    """
    like = call.like if like is None else like

    def made(operator: str, *of: Operand) -> Ref:
        return call.add(operator, *of, like=like)

    def scaled(value: Ref, factor: float, offset: float) -> Ref:
        return call.affine(value, factor, offset, like=like)

    none, one = torch.zeros(()), torch.ones(())
    tall, broad = (made("absolute", value) for value in (high, wide))
    steep = compared(call, tall, broad, "greater", like)
    longer, shorter = made("maximum", tall, broad), made("minimum", tall, broad)
    empty = compared(call, longer, none, "equal", like)
    part = made("divide", shorter, made("choose", empty, one, longer))
    square, found = made("multiply", part, part), None
    for term in reversed(_TERMS):
        found = scaled(square, 0, term) if found is None else scaled(made("multiply", found, square), 1, term)
    first = made("multiply", part, found)
    first = made("choose", steep, scaled(first, -1, math.pi / 2), first)
    first = made("choose", compared(call, none, wide, "greater", like), scaled(first, -1, math.pi), first)
    first = made("choose", compared(call, none, high, "greater", like), scaled(first, -1, 0), first)
    start = made("without_gradient", first)
    cosine, sine = made("cosine", start), made("sine", start)
    across = made("subtract", made("multiply", high, cosine), made("multiply", wide, sine))
    ahead = made("add", made("multiply", wide, cosine), made("multiply", high, sine))
    step = made("divide", across, made("choose", empty, one, ahead))
    return made("add", start, step)


def _tangents_inverse(call: Call) -> Ref:
    near = call.add("clamp", call.value("self"), low=-_FAR, high=_FAR)  # infinity has an angle, too
    return angle_of(call, near, call.affine(near, 0, 1))


def _of_a_place(call: Call) -> Ref:
    high, wide = (call.writer.read(call.floats(name)) for name in ("self", "other"))
    return angle_of(call, high, wide)


def _on_the_circle(sine: bool) -> Translate:
    """Of one number of a place on the circle of length 1, by the other."""

    def translate(call: Call) -> Ref:
        value = call.value("self")
        both = call.add("multiply", *(call.affine(value, sign, 1) for sign in (1, -1)))
        other = call.add("square_root", both)
        return angle_of(call, value, other) if sine else angle_of(call, other, value)

    return translate


def _of_a_sign(call: Call) -> Ref:
    """Pi below 0, and 0 elsewhere; of what is no number none."""
    value = call.value("self")
    below = compared(call, torch.zeros(()), value, "greater", shape_of(value))
    return call.add("choose", compared(call, value, value, "equal"), call.affine(below, math.pi, 0), value)


ANGLES: dict[str, Translate] = {
    **dict.fromkeys(("acos", "arccos"), _on_the_circle(sine=False)),
    **dict.fromkeys(("asin", "arcsin"), _on_the_circle(sine=True)),
    **dict.fromkeys(("atan", "arctan"), _tangents_inverse),
    **dict.fromkeys(("atan2", "arctan2"), _of_a_place),
    "angle": _of_a_sign,
}
"""Translations by the names of torch's operators."""
