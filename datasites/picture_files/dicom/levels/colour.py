"""Colour pictures: red, green and blue of 8 bits, whatever the depth that they are stored with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def eight_bits(values: NDArray[Any], stored_bits: int) -> NDArray[np.uint8]:
    """Values scaled from all that `stored_bits` can hold to 0 to 255, to the nearest.

    Args:
        values: (rows, columns, 3), not negative.
        stored_bits: Bits that hold a value.
    """
    if stored_bits == 8:
        return values.astype(np.uint8)
    peak = (1 << stored_bits) - 1
    return ((values.astype(np.uint64) * 510 + peak) // (2 * peak)).astype(np.uint8)
