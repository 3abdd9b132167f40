"""Maps of where a picture matters to its class: each part of it is covered in turn, and the model is asked again.

Occlusion (Zeiler and Fergus, ECCV 2014) needs no gradient. It shows what this model reacts to, neither why nor whether
that is a sign of anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PARTS = 8
"""Parts along each side; a picture is asked about `PARTS` squared times."""
MEANS = (
    "Occlusion: each part was covered with the picture's mean colour. A drop is how much less probable the class "
    "became, negative where it became more probable."
)


def covered(picture: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    """The picture with each of its parts covered, row by row.

    Args:
        picture: (H, W, C).
    """
    mean = picture.mean(axis=(0, 1)).astype(picture.dtype)
    rows, columns = _edges(picture.shape[0]), _edges(picture.shape[1])
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            without = picture.copy()
            without[top:bottom, left:right] = mean
            yield without


def drops(whole: float, without: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much less probable the class becomes, (rows, columns).

    Args:
        whole: Its probability on the whole picture.
        without: Its probability with each part covered, in the order of `covered`.
    """
    return (whole - np.asarray(without, dtype=np.float64)).reshape(PARTS, PARTS)


def _edges(side: int) -> list[int]:
    return [round(part * side / PARTS) for part in range(PARTS + 1)]
