"""Arrays of an .npz file: small ones in memory, pictures mapped from the disk, so that memory does not follow their
number. A compressed array is unpacked into a private file that has no name and is gone with the process.
"""

from __future__ import annotations

import os
import tempfile
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import DataError

_PART = 1 << 20
MOST_SMALL = 1 << 32  # bytes of an array that is read into memory
_LOCAL_HEADER = 30  # bytes before a member's name, in a ZIP file


class _Nameless:
    """An open file without a name, which is closed with the last that holds this."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.descriptor)

    @property
    def path(self) -> str:
        """How this process, and those of the same account, open it."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def fill(self, stream: IO[bytes]) -> None:
        """Writes all of a stream into it."""
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            while part := stream.read(_PART):
                file.write(part)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


@dataclass(frozen=True)
class MappedArray:
    """Where an array's values lie on the disk.

    Attributes:
        file: The file.
        offset: Where they begin in it.
        dtype: Of the values, as numpy writes it.
        shape: Of the array.
        fortran: Whether the first axis is the fastest.
        kept: What keeps a file that has no name; None in another process, and for other files.
    """

    file: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    kept: _Nameless | None = field(default=None, compare=False, repr=False)

    def opened(self) -> NDArray[Any]:
        """The array, of `dtype` and `shape`, (N, ...), read from the disk as it is used."""
        return _opened(self)


class NpzFile:
    """An .npz file that is read as it is needed.

    Args:
        file: Where it is.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with _readable(file), zipfile.ZipFile(file) as archive:
            self.keys = tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def array(self, key: str) -> NDArray[Any] | None:
        """A small array, in memory, of the file's own type and shape, (N, ...); None where there is no such one.

        Raises:
            DataError: It cannot be read, or holds Python objects.
        """
        if key not in self.keys:
            return None
        name = f"{key}.npy"
        with _readable(self.file), zipfile.ZipFile(self.file) as archive, archive.open(name) as member:
            if archive.getinfo(name).file_size > MOST_SMALL:
                raise ValueError(f"{name} is larger than {MOST_SMALL} bytes")
            found = np.lib.format.read_array(member, allow_pickle=False)
            if found.dtype.kind == "U":
                found.tolist()  # which fails where a letter is none
            return found

    def mapped(self, key: str) -> MappedArray:
        """A large array, on the disk, after reading all of it once.

        Raises:
            DataError: It cannot be read, is damaged, holds Python objects, or there is no room to unpack it.
        """
        name = f"{key}.npy"
        with _readable(self.file), zipfile.ZipFile(self.file) as archive:
            about = archive.getinfo(name)
            with archive.open(name) as member:
                shape, fortran, dtype = _header(member)
                if dtype.hasobject:
                    raise ValueError(f"{name} holds Python objects")
                if about.compress_type != zipfile.ZIP_STORED:
                    kept = _Nameless()
                    kept.fill(member)
                    return MappedArray(kept.path, 0, dtype.str, shape, fortran, kept)
                offset = self._begin(about.header_offset) + member.tell()
                while member.read(_PART):  # which compares the checksum
                    continue
        return MappedArray(str(self.file.resolve()), offset, dtype.str, shape, fortran)

    def _begin(self, header: int) -> int:
        """Where a stored member's bytes begin."""
        with self.file.open("rb") as stream:
            stream.seek(header)
            local = stream.read(_LOCAL_HEADER)
        return header + _LOCAL_HEADER + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")


@lru_cache(maxsize=4)
def _opened(array: MappedArray) -> NDArray[Any]:
    order: Any = "F" if array.fortran else "C"
    return np.memmap(array.file, array.dtype, "r", array.offset, array.shape, order)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if np.lib.format.read_magic(member) == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Refuses a file that is no archive of arrays, or is damaged."""
    try:
        yield
    except Exception as error:  # whatever the libraries make of a file that they do not expect
        raise DataError(
            "The .npz file cannot be read. Write it with numpy.savez, without Python objects.",
            private=f"{file}: {type(error).__name__}: {error}",
        ) from error
