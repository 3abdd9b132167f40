"""An order that nobody can foresee, for rows and units: neither tells where a picture came from."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray


def random_order(count: int) -> NDArray[np.int64]:
    """A permutation of 0 to count - 1, int64, (count,), by the operating system's cryptographic generator."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64).argsort().astype(np.int64)
