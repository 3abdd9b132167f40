"""A file of weights read piece by piece: what crosses the boundary is checked without ever being in memory as a whole.

The format and its strictness are those of `policies.contracts.weights`; only the way of reading differs.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self

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
        self._file, self._shapes, self._descriptor = file, expected, -1
        self._start, self._offsets = check_header(file, size, expected)

    def at(self, descriptor: int) -> Self:
        """The same file with its descriptor, or another one, at which `array`, `check` and `fill` read."""
        other = copy.copy(self)
        other._descriptor = descriptor
        return other

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
                self.fill(name, start, piece := values[start : min(start + CACHED_VALUES, end)])
                all_finite(name, piece)

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
                self.fill(name, start, piece := room[: min(CACHED_VALUES, end - start)])
                all_finite(name, piece)

        for name in sorted(self._shapes):
            in_halves(math.prod(self._shapes[name]), look)

    def fill(self, name: str, start: int, values: np.ndarray) -> None:
        """Reads an array's values from its place `start` on, from any thread, into float32, (n,); looks at none.

        Raises:
            Malformed: The file ends before.
        """
        left, position = values.view(np.uint8).data, self._start + self._offsets[name] + 4 * start
        while left:
            if not (count := os.preadv(self._descriptor, [left], position)):
                raise Malformed("it is cut off")
            left, position = left[count:], position + count


@contextlib.contextmanager
def open_weights(path: Path, expected: Shapes, *, max_bytes: int) -> Iterator[WeightsFile]:
    """Opens a file of weights, which must not be a link, and checks its header.

    Raises:
        Malformed: It is not a plain safetensors file of exactly the expected arrays.
    """
    with open_plain(path, max_bytes=max_bytes) as (file, size):
        yield WeightsFile(file, expected, size).at(file.fileno())


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


class ArrayAtRest:
    """One array of a checked file, of which pieces are read at a time."""

    def __init__(self, file: WeightsFile, name: str, shape: tuple[int, ...], told: Callable[[Exception], Exception]):
        """Reads nothing; see `AtRest.part`."""
        self._file, self._name, self._told = file, name, told
        self.shape = shape

    def fill(self, start: int, values: np.ndarray) -> None:
        """Reads values from place `start` of the flattened array on, from any thread.

        They were finite when the file was checked. Whoever adds them up looks at the sum, which is quicker than to look
        at each again.

        Args:
            start: How many values come before.
            values: What they are read into, float32, (n,).

        Raises:
            Exception: As `told` of `AtRest` makes it of what went wrong.
        """
        try:
            self._file.fill(self._name, start, values)
        except (OSError, Malformed) as error:
            raise self._told(error) from error


class AtRest(Mapping[str, np.ndarray]):
    """A checked file of weights as a mapping, of which an array is read each time that it is asked for.

    Many of them take no memory, and a disk that fails meanwhile is an error to who reads, also once the file's name is
    gone: who looks at a map of a file is ended by the system then (SIGBUS).
    """

    def __init__(
        self,
        path: Path,
        expected: Shapes,
        *,
        max_bytes: int,
        told: Callable[[Exception], Exception] = lambda error: error,
    ) -> None:
        """Checks the file, in bounded memory, and keeps it open.

        Args:
            path: The file, which must not be a link.
            expected: Name → shape.
            max_bytes: Largest file.
            told: What is raised where the disk does not give later what was checked, of the Malformed or OSError.

        Raises:
            Malformed, OSError: As `read_whole`.
        """
        self._shapes, self._told = dict(expected), told
        with open_plain(path, max_bytes=max_bytes) as (file, size):
            weights = WeightsFile(file, expected, size).at(file.fileno())
            weights.check()
            descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, descriptor)
        self._file = weights.at(descriptor)

    def part(self, name: str) -> ArrayAtRest:
        """One array, whose values are read a piece at a time; as long as this mapping is there."""
        return ArrayAtRest(self._file, name, self._shapes[name], self._told)

    def __getitem__(self, name: str) -> np.ndarray:
        """Reads one array into memory, float32, of its shape."""
        if name not in self._shapes:
            raise KeyError(name)
        try:
            return self._file.array(name)
        except (OSError, Malformed) as error:
            raise self._told(error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._shapes))

    def __len__(self) -> int:
        return len(self._shapes)


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
