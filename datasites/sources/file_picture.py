"""A picture that lies in a file: its bytes are read by the one decoder, when its pixels are asked for. Private."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import AXIAL, decode, probe
from datasites.picture_files.file_bytes import FileBytes, PictureFile, file_bytes
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NOT_A_FILE
from policies.plans.picture_form import PictureForm

_PART = 1 << 18  # bytes of a file that are hashed at a time


@dataclass(frozen=True, slots=True)
class FilePicture:
    """One picture of a file.

    Attributes:
        root: The source's folder.
        inside: Where the file is in it, with '/' between folders.
        frame: Which of the file's pictures, from 0; None where it has one alone.
        axis: Of a volume, as `decode` takes it.
        held: The file's bytes, where they were read already.
    """

    root: str
    inside: str
    frame: int | None = None
    axis: int = AXIAL
    held: FileBytes | None = field(default=None, repr=False)

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.root, self.inside)

    @property
    def place(self) -> str:
        """As the report names it."""
        return self.inside if self.frame is None else f"{self.inside} [{self.frame}]"

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickles as few values: a process that reads is sent each picture, and never its bytes."""
        return type(self), (self.root, self.inside, self.frame, self.axis)

    def stamp(self) -> tuple[int, ...]:
        """Size and times of the file; see `Picture`."""
        found = os.stat(f"{self.root}/{self.inside}")  # noqa: PTH116 - asked twice a picture; a Path takes five times as long
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read_once(self) -> Self:
        """The picture with its file's bytes; one of several in its file, or of a huge one, stays as it is.

        What the decoders keep of a file for its further pictures, they keep by its path.

        Raises:
            PictureRefused: The file cannot be read, or changes meanwhile.
        """
        if self.frame is not None:
            return self
        return type(self)(self.root, self.inside, None, self.axis, file_bytes(self.file))

    def digest(self) -> bytes:
        """SHA-256 of the file's bytes and of the picture's number in it.

        Raises:
            PictureRefused: The file cannot be read.
        """
        if self.held is not None:
            return hashlib.sha256(self.held.content).digest()
        found = hashlib.sha256(f"{self.frame} {self.axis} ".encode() if self.frame is not None else b"")
        try:
            with self.file.open("rb") as stream:
                while part := stream.read(_PART):
                    found.update(part)
        except OSError as error:
            raise PictureRefused(NOT_A_FILE, private=f"{self.file}: {error}") from error
        return found.digest()

    def own_size(self) -> tuple[int, int]:
        """(height, width) that the file says.

        Raises:
            PictureRefused: It cannot be read as a picture.
        """
        return probe(self._source(), axis=self.axis).size

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(height, width, channels) of `form`.

        Raises:
            PictureRefused: It cannot be read as that.
        """
        return decode(self._source(), form, self.frame or 0, axis=self.axis)

    def _source(self) -> PictureFile:
        return self.held or self.file
