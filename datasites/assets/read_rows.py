"""Rows of a mapped array that are read from its file: where the disk fails, that is an error and not the process's end.

A page of a map that the disk cannot give ends whoever looks at it (SIGBUS). A run is a process of its own and may end
so; a datasite, which serves every study of its hospital, reads, and so does a command, which tells its person why.
"""

from __future__ import annotations

import math
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


def taken(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Returns some rows of an array, (n, ...), in memory, as `array[rows]` has them.

    Args:
        array: As of `blocks`.
        rows: int64, (n,): which, each at least 0.

    Raises:
        StorageUnavailable, StoreBroken: As `blocks`.
    """
    if not isinstance(array, np.memmap) or not isinstance(array.base, mmap.mmap):
        return np.asarray(array[rows])
    found = np.empty((len(rows), *array.shape[1:]), array.dtype)
    size = array.dtype.itemsize * math.prod(array.shape[1:])
    try:
        with open(array.filename, "rb", buffering=0) as file:  # noqa: PTH123 - numpy says it is a path or a name
            for place, row in enumerate(rows.tolist()):
                if not 0 <= row < len(array):
                    raise IndexError(f"row {row} of {len(array)}")
                file.seek(array.offset + row * size)
                _fill(file, found[place : place + 1], os.fspath(array.filename))
    except OSError as error:
        raise StorageUnavailable(UNREADABLE, private=f"{array.filename} cannot be read: {error!r}.") from error
    return found


class ReadRows:
    """A mapped array whose rows are read when they are asked for: what `array[rows]` is to who takes few at a time.

    Attributes:
        shape: Of the array.
        dtype: Of the array.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: NDArray[np.int64] | np.int64 | int) -> NDArray[Any]:
        """One row, (...), or those of int64, (n,); raises as `taken` does."""
        found = taken(self._array, np.atleast_1d(np.asarray(rows, dtype=np.int64)))
        return found if np.ndim(rows) else np.asarray(found[0])


def _fill(file: Any, rows: NDArray[Any], name: str) -> None:
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        count = file.readinto(left)
        if not count:
            raise StoreBroken(
                "A file of the store is shorter than its array. Restore the store from a copy.", private=name
            )
        left = left[count:]
