"""Epsilons as people read them, in hundredths: a cost is never told smaller than it is, and what is left never larger.
Other numbers, such as a delta, are told as they are.

One rule for both sides of the boundary, so that a hospital and a researcher read the same figure.
"""

from __future__ import annotations

import math

from policies.validate import written

_HUNDREDTH = 100
_DIGITS = 6  # of a hundredth: less is arithmetic, not cost


def rounded_up(epsilon: float) -> float:
    """The epsilon of a cost, in whole hundredths and not less than it is; infinity stays."""
    return math.ceil(round(_HUNDREDTH * epsilon, _DIGITS)) / _HUNDREDTH if math.isfinite(epsilon) else epsilon


def rounded_down(epsilon: float) -> float:
    """The epsilon that is left, in whole hundredths and not more than it is; infinity stays."""
    return math.floor(round(_HUNDREDTH * epsilon, _DIGITS)) / _HUNDREDTH if math.isfinite(epsilon) else epsilon


def cost(epsilon: float) -> str:
    """A cost as a text: 5.444 is `5.45`."""
    return f"{rounded_up(epsilon):.2f}"


def left(epsilon: float) -> str:
    """What is left as a text: 1.2559 is `1.25`."""
    return f"{rounded_down(epsilon):.2f}"


def at_delta(epsilon: float, delta: float) -> str:
    """A cost with the delta at which it is stated: `epsilon 5.45 at delta 1e-5`."""
    return f"epsilon {cost(epsilon)} at delta {number(delta)}"


def number(value: float) -> str:
    """A number as people write it: 1e-5, 0.25, 2."""
    return written(value)


def setting(value: object) -> str:
    """A plan's setting as people read it: a number to its last digit, anything else as it is."""
    return written(value, whole=True) if isinstance(value, float) else str(value)
