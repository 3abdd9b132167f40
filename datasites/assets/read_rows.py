"""Rows of a mapped array that are read from its file: where the disk fails, that is an error and not the process's end.

A page of a map that the disk cannot give ends whoever looks at it (SIGBUS). A run is a process of its own and may end
so; a datasite, which serves every study of its hospital, reads.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.files.read_back import UNREADABLE
from policies.errors import StorageUnavailable, StoreBroken

_BLOCK_BYTES = 1 << 22


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yields an array's rows in order, (n, ...), some MiB at a time.

    Args:
        array: (N, ...): a whole array as `datasites.assets.store.open_array` maps it, which is read from its file; any
            other is taken from memory.

    Raises:
        StorageUnavailable: The disk does not let a row be read now.
        StoreBroken: The file has become shorter than the array.
    """
    step = max(1, _BLOCK_BYTES * len(array) // max(1, array.nbytes))
    starts = range(0, len(array), step)
    if not isinstance(array, np.memmap) or not isinstance(array.base, mmap.mmap):  # a part of one tells no place
        yield from (array[start : start + step] for start in starts)
        return
    try:
        with open(array.filename, "rb", buffering=0) as file:  # noqa: PTH123 - numpy says it is a path or a name
            file.seek(array.offset)
            for start in starts:
                rows = np.empty((min(step, len(array) - start), *array.shape[1:]), array.dtype)
                _fill(file, rows, os.fspath(array.filename))
                yield rows
    except OSError as error:
        raise StorageUnavailable(UNREADABLE, private=f"{array.filename} cannot be read: {error!r}.") from error


def in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """Returns the same array, read into memory; of the array and the errors, see `blocks`."""
    return np.concatenate([array[:0], *blocks(array)])


def _fill(file: Any, rows: NDArray[Any], name: str) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        count = file.readinto(left)
        if not count:
            raise StoreBroken(
                "A file of the store is shorter than its array. Restore the store from a copy.", private=name
            )
        left = left[count:]
