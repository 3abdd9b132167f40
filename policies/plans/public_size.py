"""The size that a dataset is published with, where its hospital declares none: the number of units, rounded up.

It is public and has no noise. Rounded up, it has room for everyone: private steps are as large as it says.
"""

from __future__ import annotations


def rounded_up(units: int) -> int:
    """The least number of two significant digits that is no smaller, or below 100 of one.

    Args:
        units: At least 1.
    """
    apart = 1 if units < 10 else max(10, 10 ** (len(str(units)) - 2))
    return -(-units // apart) * apart
