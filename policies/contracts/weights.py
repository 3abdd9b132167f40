"""Weights as they cross the boundary, in either direction: safetensors, exactly the declared float32 arrays.

Read strictly: what the format allows but a plan does not declare (metadata, gaps, other types, other names)
is refused. Written canonically: equal arrays give equal bytes, so that no byte can carry anything else.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policies.contracts.halves import CACHED_VALUES, in_halves

Shapes = Mapping[str, tuple[int, ...]]
# What opening a file that is no plain one, or not there, or somebody else's, ends with.
_OF_THE_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM)
_ALIGNMENT = 8
_BYTES_PER_VALUE = 4
# Room for one array's line in the header, besides its name: type, sizes, offsets, and spaces between them.
_HEADER_BYTES_PER_ARRAY = 512


class FiniteArrays(dict[str, np.ndarray]):
    """Arrays that were found finite as they came in, and that nobody may write to since: no need to look again."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Closes the arrays to writing.

        Args:
            arrays: Name → float32, of any shape, each found finite.
        """
        super().__init__(arrays)
        self._found = dict(arrays)
        for array in self._found.values():
            array.flags.writeable = False

    def is_known(self, name: str) -> bool:
        """Whether the array of this name is the one that was found finite, still closed to writing."""
        array = self.get(name)
        return array is not None and array is self._found.get(name) and not array.flags.writeable


class Malformed(Exception):
    """Bytes or arrays are not what was declared. The contracts turn it into their own errors."""


def canonical_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The one safetensors file of these arrays: sorted by name, little-endian float32, no metadata.

    Args:
        arrays: Name → float32, of any shape.
    """
    return b"".join(canonical_pieces(arrays))


def canonical_pieces(arrays: Mapping[str, np.ndarray]) -> tuple[bytes | memoryview, ...]:
    """The same file in its order, its header and then each array's own memory: nothing is copied.

    Args:
        arrays: Name → float32, of any shape.
    """
    header = canonical_header({name: array.shape for name, array in arrays.items()})
    values = (np.ascontiguousarray(arrays[name], dtype="<f4").reshape(-1) for name in sorted(arrays))
    return header, *(one.view(np.uint8).data for one in values)


def canonical_header(shapes: Shapes) -> bytes:
    """What the canonical file of arrays with these shapes begins with; the values follow, sorted by name."""
    header: dict[str, object] = {}
    offset = 0
    for name in sorted(shapes):
        end = offset + math.prod(shapes[name]) * _BYTES_PER_VALUE
        header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def read_weights(content: bytes, expected: Shapes, *, max_bytes: int) -> FiniteArrays:
    """Reads exactly the expected arrays out of the bytes of a safetensors file, sorted by name.

    A file is read by `policies.contracts.weights_file`, and mapped by nobody: where its disk fails, whoever looks at a
    map is ended by the system (SIGBUS).

    Args:
        content: The file's bytes.
        expected: Name → shape.
        max_bytes: Most of them.

    Raises:
        Malformed: Anything else than the expected arrays, finite, one after the other, with nothing between,
            before or behind them.
    """
    if len(content) > max_bytes:
        raise Malformed(f"the file has {len(content)} bytes, {max_bytes} are allowed")
    start, offsets = check_header(
        io.BytesIO(memoryview(content)[: _most_header_bytes(expected)]), len(content), expected
    )
    own = bytearray(content)
    arrays = {}
    for name in sorted(expected):
        begin = start + offsets[name]
        values = np.frombuffer(memoryview(own)[begin : begin + math.prod(expected[name]) * _BYTES_PER_VALUE], "<f4")
        arrays[name] = np.require(values, np.float32, ("ALIGNED", "WRITEABLE")).reshape(expected[name])
    check_finite(arrays)
    return FiniteArrays(arrays)


def check_header(file: io.BufferedIOBase, size: int, expected: Shapes) -> tuple[int, dict[str, int]]:
    """Reads a safetensors file's header, which must declare exactly the expected arrays, packed.

    Args:
        file: At its beginning.
        size: Of the whole file, in bytes.
        expected: Name → shape.

    Returns:
        Where the values begin, and by name where each array begins after that, in bytes.

    Raises:
        Malformed: Anything else.
    """
    header, start = _read_header(file, size, expected)
    check_names(header, expected)
    offsets = {name: _check_entry(name, entry, expected[name]) for name, entry in header.items()}
    _check_packed(offsets, size - start)
    return start, {name: begin for name, (begin, _) in offsets.items()}


def check_names(names: Mapping[str, Any], expected: Shapes) -> None:
    """Refuses a missing and an undeclared name.

    Raises:
        Malformed: Naming the first of them.
    """
    if missing := sorted(set(expected) - set(names)):
        raise Malformed(f"{missing[0]!r} is missing")
    if unknown := sorted(set(names) - set(expected)):
        raise Malformed(f"{unknown[0]!r:.200} is not among the declared names")


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses NaN and infinities, in arrays of any shape.

    Raises:
        Malformed: Naming the first array with one.
    """
    for name, values in arrays.items():
        if not is_finite(values):
            raise Malformed(f"{name!r} holds values that are not finite")


def is_finite(values: np.ndarray) -> bool:
    """Whether an array of any shape holds no NaN and no infinity."""
    flat = values.reshape(-1)
    bad: list[int] = []

    def look(begin: int, end: int) -> None:
        for start in range(begin, end, CACHED_VALUES):
            if bad or not np.isfinite(flat[start : min(start + CACHED_VALUES, end)]).all():
                bad.append(start)
                return

    in_halves(flat.size, look)
    return not bad


@contextlib.contextmanager
def open_plain(path: Path, *, max_bytes: int) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """A plain file of at most `max_bytes`, open for reading, and its size in bytes.

    Raises:
        Malformed: It is not there, may not be opened, is a link or no plain file, or is larger.
        OSError: It cannot be opened now, which says nothing of it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _OF_THE_FILE:
            raise
        raise Malformed(f"the file cannot be opened ({error.strerror})") from error
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Malformed("it is not a plain file")
        if about.st_size > max_bytes:
            raise Malformed(f"the file has {about.st_size} bytes, {max_bytes} are allowed")
        with open(descriptor, "rb", closefd=False) as file:
            yield file, about.st_size
    finally:
        os.close(descriptor)


def _most_header_bytes(expected: Shapes) -> int:
    return 8 + sum(len(name.encode()) * 6 + _HEADER_BYTES_PER_ARRAY for name in expected) + _HEADER_BYTES_PER_ARRAY


def _read_header(file: io.BufferedIOBase, total: int, expected: Shapes) -> tuple[dict[str, object], int]:
    """The header, and where the data begins."""
    size = int.from_bytes(file.read(8), "little")
    if total < 8 or size > min(_most_header_bytes(expected), total) - 8:
        raise Malformed("its header is longer than the declared arrays need, or than the file")
    try:
        header = json.loads(file.read(size).decode(), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise Malformed("its header is not the JSON of a safetensors file") from error
    if not isinstance(header, dict):
        raise Malformed("its header is not a table")
    return header, 8 + size


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table


def _check_entry(name: str, entry: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """Where the array lies, as (begin, end) in bytes, if it has the type and the shape that it should."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"the header's entry of {name!r} is not one of an array")
    if entry["dtype"] != "F32":
        raise Malformed(f"{name!r} must be float32")
    if not _whole_numbers(entry["shape"]) or tuple(entry["shape"]) != tuple(shape):
        raise Malformed(f"{name!r} must have the shape {tuple(shape)}")
    offsets = entry["data_offsets"]
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise Malformed(f"the offsets of {name!r} are not two whole numbers")
    if offsets[1] - offsets[0] != math.prod(shape) * _BYTES_PER_VALUE:
        raise Malformed(f"the offsets of {name!r} do not fit its shape")
    return offsets[0], offsets[1]


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _check_packed(offsets: Mapping[str, tuple[int, int]], size: int) -> None:
    """Refuses gaps, overlaps and bytes behind the last array."""
    position = 0
    for begin, end in sorted(offsets.values()):
        if begin != position:
            raise Malformed("its arrays overlap or have unused bytes between them")
        position = end
    if position != size:
        raise Malformed("it is cut off or has unused bytes at its end")
