"""Logarithms of the gamma function and their slopes, of numbers above 0: as of a number that is larger by eight.

From eight on a few terms of Stirling's series are all that float32 holds, and each step down is one logarithm.
"""

from __future__ import annotations

import math

from researcher.captures.translated import Call, Translate
from researcher.captures.writer import Ref

_STEPS = 8
# Of log gamma, divided by x, x³, x⁵, and of its slope by x², x⁴, x⁶.
_SERIES = (1 / 12, -1 / 360, 1 / 1260)
_SLOPES = (-1 / 12, 1 / 120, -1 / 252)


def _series(call: Call, start: Ref, inverse: Ref, terms: tuple[float, ...]) -> Ref:
    """start times the sum of terms of growing powers of inverse squared."""
    square = call.add("multiply", inverse, inverse)
    found = call.affine(square, terms[2], terms[1])
    found = call.affine(call.add("multiply", found, square), 1, terms[0])
    return call.add("multiply", start, found)


def _log_gamma(call: Call) -> Ref:
    value = call.value("self")
    far = call.affine(value, 1, _STEPS)
    logarithm, inverse = call.add("logarithm", far), call.add("reciprocal", far)
    found = call.add("subtract", call.add("multiply", call.affine(far, 1, -0.5), logarithm), far)
    found = call.affine(found, 1, 0.5 * math.log(2 * math.pi))
    found = call.add("add", found, _series(call, inverse, inverse, _SERIES))
    for step in range(_STEPS):
        found = call.add("subtract", found, call.add("logarithm", call.affine(value, 1, step)))
    return found


def _slope(call: Call) -> Ref:
    value = call.value("self")
    far = call.affine(value, 1, _STEPS)
    inverse = call.add("reciprocal", far)
    found = call.add("subtract", call.add("logarithm", far), call.affine(inverse, 0.5, 0))
    square = call.add("multiply", inverse, inverse)
    found = call.add("add", found, _series(call, square, inverse, _SLOPES))
    for step in range(_STEPS):
        found = call.add("subtract", found, call.add("reciprocal", call.affine(value, 1, step)))
    return found


GAMMAS: dict[str, Translate] = {
    **dict.fromkeys(("digamma", "special_digamma", "special_psi"), _slope),
    **dict.fromkeys(("lgamma", "special_gammaln"), _log_gamma),
}
"""Translations by the names of torch's operators."""
