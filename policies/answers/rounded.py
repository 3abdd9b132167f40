"""Epsilons as people read them, in hundredths: a cost is never told smaller than it is, and what is left never larger.

One rule for both sides of the boundary, so that a hospital and a researcher read the same figure.
"""

from __future__ import annotations

import math

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
