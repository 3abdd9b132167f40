"""The value of white in a file of more than 8 bits: as the file says, else as a form does, not by what it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import BITS_EXCEEDED, BITS_IN_DOUBT

_WHITE = 2**16 - 1
_DOUBTFUL = 2**12  # a sixteenth of what 16 bits can hold


def white_of(values: NDArray[Any], *, stated: int | None, declared: int) -> int:
    """The value that is white.

    Args:
        values: uint16, (H, W, C), as stored.
        stated: How many bits the file says count; None where it does not.
        declared: A form's `bits`.

    Raises:
        PictureRefused: There are values above white, or neither says what white is and no value reaches a sixteenth of
            what 16 bits can hold, not counting the largest of 16 bits: that is what a letter is burned in as.
    """
    peak = int(values.max())
    bits = stated or declared
    if not bits:
        if peak == _WHITE:
            peak = int(values.max(where=values < _WHITE, initial=0))
        if 0 < peak < _DOUBTFUL:
            raise PictureRefused(BITS_IN_DOUBT, private=f"The largest value below 65535 is {peak}.")
        return _WHITE
    if peak >= 2**bits:
        raise PictureRefused(BITS_EXCEEDED, private=f"The largest value is {peak}, of {bits} bits.")
    return int(2**bits - 1)


def are_shifted(values: NDArray[Any], bits: int) -> bool:
    """Whether values of `bits` bits were shifted up to fill 16, as the PNG standard wants it; many writers do not.

    Args:
        values: uint16, (H, W, C), as stored.
        bits: How many of their bits count, as the file says.
    """
    return int(values.max()) >= 2**bits or not np.any(values & (2 ** (16 - bits) - 1))
