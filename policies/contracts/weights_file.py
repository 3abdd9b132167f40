"""A file of weights read piece by piece: what crosses the boundary is checked without ever being in memory as a whole.

The format and its strictness are those of `policies.contracts.weights`; only the way of reading differs.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from policies.contracts.halves import CACHED_VALUES, in_halves
from policies.contracts.weights import FiniteArrays, Malformed, Shapes, canonical_header, check_header, open_plain

# Values that are in memory at once: 1 MiB of float32.
CHUNK_VALUES = 1 << 18


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer at the end."""


class WeightsFile:
    """An open file that is exactly the expected float32 arrays, except for values that are not finite."""

    def __init__(self, file: io.BufferedIOBase, expected: Shapes, size: int) -> None:
        self._file, self._shapes = file, expected
        self._start, self._offsets = check_header(file, size, expected)

    def chunks(self, name: str) -> Iterator[np.ndarray]:
        """Yields the values of one array in order, float32, (n,) with n at most `CHUNK_VALUES`.

        Raises:
            Malformed: A value is not finite, or the file changed meanwhile.
        """
        left = math.prod(self._shapes[name])
        position = self._start + self._offsets[name]
        while left:
            count = min(left, CHUNK_VALUES)
            self._file.seek(position)
            yield finite(name, exactly(self._file, 4 * count))
            position, left = position + 4 * count, left - count

    def array(self, name: str) -> np.ndarray:
        """Reads one array into memory, float32, of its shape.

        Raises:
            Malformed: As `chunks`.
        """
        values = np.empty(math.prod(self._shapes[name]), "<f4")

        def fill(begin: int, end: int) -> None:
            for start in range(begin, end, CACHED_VALUES):
                self._fill(name, start, values[start : min(start + CACHED_VALUES, end)])

        in_halves(values.size, fill)
        return values.astype(np.float32, copy=False).reshape(self._shapes[name])

    def check(self) -> None:
        """Looks at all values, without memory for more than a few of them.

        Raises:
            Malformed: As `chunks`.
        """

        def look(begin: int, end: int) -> None:
            room = np.empty(min(CACHED_VALUES, end - begin), "<f4")
            for start in range(begin, end, CACHED_VALUES):
                self._fill(name, start, room[: min(CACHED_VALUES, end - start)])

        for name in sorted(self._shapes):
            in_halves(math.prod(self._shapes[name]), look)

    def _fill(self, name: str, start: int, values: np.ndarray) -> None:
        """Reads an array's values from its place `start` on, from any thread, into float32, (n,)."""
        left, position = values.view(np.uint8).data, self._start + self._offsets[name] + 4 * start
        while left:
            if not (count := os.preadv(self._file.fileno(), [left], position)):
                raise Malformed("it is cut off")
            left, position = left[count:], position + count
        all_finite(name, values)


@contextlib.contextmanager
def open_weights(path: Path, expected: Shapes, *, max_bytes: int) -> Iterator[WeightsFile]:
    """Opens a file of weights, which must not be a link, and checks its header.

    Raises:
        Malformed: It is not a plain safetensors file of exactly the expected arrays.
    """
    with open_plain(path, max_bytes=max_bytes) as (file, size):
        yield WeightsFile(file, expected, size)


def read_whole(path: Path, expected: Shapes, *, max_bytes: int) -> FiniteArrays:
    """Reads exactly the expected arrays into memory.

    What the disk does not give is an error here; whoever looks at a map of it is ended by the system (SIGBUS).

    Args:
        path: The file, which must not be a link.
        expected: Name → shape.
        max_bytes: Largest file.

    Raises:
        Malformed: It is not a plain file of exactly the expected arrays, finite; or cannot be opened.
        OSError: The disk does not let it be read.
    """
    with open_weights(path, expected, max_bytes=max_bytes) as file:
        return FiniteArrays({name: file.array(name) for name in sorted(expected)})


class AtRest:
    """A checked file of weights that stays on its disk until it is read, also once its name is gone.

    Many of them take no memory, and a disk that fails meanwhile is an error to who reads.
    """

    def __init__(self, path: Path, expected: Shapes, *, max_bytes: int) -> None:
        """Checks the file, in bounded memory, and keeps it open.

        Args:
            path: The file, which must not be a link.
            expected: Name → shape.
            max_bytes: Largest file.

        Raises:
            Malformed, OSError: As `read_whole`.
        """
        self._shapes = expected
        with open_plain(path, max_bytes=max_bytes) as (file, size):
            self._size = size
            WeightsFile(file, expected, size).check()
            self._descriptor = os.dup(file.fileno())
        self._closing = weakref.finalize(self, os.close, self._descriptor)

    def read(self) -> FiniteArrays:
        """Reads the arrays into memory, sorted by name, and lets go of the file; once.

        Raises:
            Malformed: The disk gives other bytes now than those that were checked.
            OSError: It does not give them.
        """
        try:
            with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
                file.seek(0)
                weights = WeightsFile(io.BufferedReader(file), self._shapes, self._size)
                return FiniteArrays({name: weights.array(name) for name in sorted(self._shapes)})
        finally:
            self._closing()


def is_canonical(path: Path, expected: Shapes, *, max_bytes: int) -> bool:
    """Whether a file has the length and the header of the one safetensors file of arrays with these shapes.

    If so, its bytes are what `release_update` writes of it where nothing is encoded. The values are not looked at.

    Raises:
        Malformed: It is no plain file of at most `max_bytes`.
    """
    header = canonical_header(expected)
    with open_plain(path, max_bytes=max_bytes) as (file, size):
        return size == canonical_size(expected) and file.read(len(header)) == header


def exactly(file: Readable, size: int) -> bytes:
    """The next `size` bytes.

    Raises:
        Malformed: The file ends before.
    """
    content = file.read(size)
    if len(content) != size:
        raise Malformed("it is cut off")
    return content


def finite(name: str, content: bytes) -> np.ndarray:
    """Returns bytes as float32 values, (n,).

    Raises:
        Malformed: One of them is not finite.
    """
    return all_finite(name, np.frombuffer(content, "<f4"))


def all_finite(name: str, values: np.ndarray) -> np.ndarray:
    """Returns float32 values, (n,), as they are.

    Raises:
        Malformed: One of them is not finite.
    """
    if not np.isfinite(values).all():
        raise Malformed(f"{name!r} holds values that are not finite")
    return values


def canonical_size(expected: Shapes) -> int:
    """Bytes of the one safetensors file of arrays with these shapes."""
    return len(canonical_header(expected)) + 4 * sum(math.prod(shape) for shape in expected.values())
