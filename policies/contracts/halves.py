"""Work over a large array in two threads, for checks and sums that wait for memory. Nothing leaves.

numpy lets go of the interpreter while it works, so that two cores are busy where there are two.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Values that are looked at in one go: with what is made of them they stay in a core's own cache.
CACHED_VALUES = 1 << 16
_LEAST_TO_SHARE = 1 << 20


def in_halves(size: int, work: Callable[[int, int], object]) -> None:
    """Calls `work(begin, end)` for the places 0 to `size`: at once, or for each half in a thread of its own."""
    if size < _LEAST_TO_SHARE:
        work(0, size)
        return
    middle = size // 2
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(work, middle, size)
        work(0, middle)
        other.result()
