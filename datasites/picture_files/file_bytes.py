"""The bytes of a file, read once, so that its digest and its picture are of the same ones. They are private."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import CHANGED, NOT_A_FILE

MOST_BYTES = 1 << 25  # of a file that is held in memory


@dataclass(frozen=True, eq=False, repr=False)
class FileBytes:
    """A file that was read already.

    Attributes:
        path: Where it is.
        content: All of its bytes.
    """

    path: Path
    content: bytes

    def __str__(self) -> str:
        return str(self.path)

    @property
    def suffix(self) -> str:
        """Of its name."""
        return self.path.suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes as a stream."""
        return BytesIO(self.content)


PictureFile = Path | FileBytes
"""A file that pictures are read from: where it is, or its bytes."""


def seen(file: PictureFile) -> tuple[int, int]:
    """(when it was changed, in nanoseconds, its bytes): other ones say that another file lies there by now.

    Raises:
        OSError: It is not there any more.
    """
    if isinstance(file, FileBytes):
        return 0, len(file.content)
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def file_bytes(path: Path) -> FileBytes | None:
    """Reads a file, unless it has more than `MOST_BYTES`.

    Raises:
        PictureRefused: It is no plain file, cannot be read, or changes meanwhile.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # which a pipe does not wait at for a writer
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise PictureRefused(NOT_A_FILE, private=str(path))
            if found.st_size > MOST_BYTES:
                return None
            content = os.read(file, found.st_size + 1)
        finally:
            os.close(file)
    except OSError as error:
        raise PictureRefused(NOT_A_FILE, private=f"{path}: {error}") from error
    if len(content) != found.st_size:
        raise PictureRefused(CHANGED, private=str(path))
    return FileBytes(path, content)
