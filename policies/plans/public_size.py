"""The size that a dataset is published with, where its hospital declares none: the number of units, rounded down.

It is public and has no noise. Private steps leave room for every number of units that it may stand for.
"""

from __future__ import annotations


def rounded_down(units: int) -> int:
    """The number of units in two significant digits, or below 100 in one.

    Guarantees:
        Every number from the result up to its `most_units` gives the same result.

    Args:
        units: At least 1.
    """
    return units - units % _between(units)


def most_units(public_size: int) -> int:
    """The most units that a published size stands for: up to the next size that rounding down gives.

    Args:
        public_size: Rounded down, or declared by the hospital.
    """
    return rounded_down(public_size) + _between(public_size) - 1


def _between(number: int) -> int:
    """How far apart such sizes lie there."""
    return 1 if number < 10 else max(10, 10 ** (len(str(number)) - 2))
