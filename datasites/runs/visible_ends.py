"""Times at which the end of a run may be seen outside: those of a public grid from the run's visible start.

How long a run takes depends a little on its pictures. Rounded up to a grid that everybody knows, it says which cell it
fell into and no more. The grid is even where runs are short and geometric from there on: cells of a twentieth cost a
round 2.5 % of its run on average, and no cell is narrower than `STEP_SECONDS`.
"""

from __future__ import annotations

import math

STEP_SECONDS = 0.025
EVEN_UNTIL_SECONDS = 0.5
RATIO = 1.05  # at EVEN_UNTIL_SECONDS the next cell is as wide as the last even one


def visible_seconds(seconds: float) -> float:
    """The first time of the grid that is not before `seconds`.

    Guarantees:
        It is a multiple of `STEP_SECONDS` up to `EVEN_UNTIL_SECONDS`, and that times a power of `RATIO` beyond; never
        before `seconds`, and by less than one cell after.

    Args:
        seconds: Since the run's visible start, not negative, finite.
    """
    even = seconds <= EVEN_UNTIL_SECONDS
    exact = seconds / STEP_SECONDS if even else math.log(seconds / EVEN_UNTIL_SECONDS, RATIO)
    # One cell lower to begin with: the last digit may be off, and no time before `seconds` may do.
    cell = max(math.ceil(exact) - 1, 1 if even else 0)
    while (visible := cell * STEP_SECONDS if even else EVEN_UNTIL_SECONDS * RATIO**cell) < seconds:
        cell += 1
    return visible
