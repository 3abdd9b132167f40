"""When the end of a run may be seen outside: at the times of a public grid, counted from the run's visible start.

How long a run takes depends a little on its pictures. Rounded up to a grid that everybody knows, it says which cell it
fell into and no more.
"""

from __future__ import annotations

import math

FIRST_SECONDS = 0.25
RATIO = 1.05  # on average a run ends 2.5 % later than it could, at most 5 %


def visible_seconds(seconds: float) -> float:
    """The first time of the grid that is not before `seconds`.

    Guarantees:
        It is `FIRST_SECONDS` or that times a power of `RATIO`, and less than `RATIO` times `seconds` wherever that is
        above `FIRST_SECONDS`.

    Args:
        seconds: Since the run's visible start, finite.
    """
    if seconds <= FIRST_SECONDS:
        return FIRST_SECONDS
    # One cell lower to begin with: the logarithm may be off in its last digit, and no time before `seconds` may do.
    cell = math.ceil(math.log(seconds / FIRST_SECONDS, RATIO)) - 1
    while (visible := FIRST_SECONDS * RATIO**cell) < seconds:
        cell += 1
    return visible
