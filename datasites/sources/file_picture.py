"""A picture that lies in a file: its bytes are read by the one decoder, when its pixels are asked for. Private."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import AXIAL, decode, probe
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NOT_A_FILE
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True)
class FilePicture:
    """One picture of a file.

    Attributes:
        root: The source's folder.
        inside: Where the file is in it, with '/' between folders.
        frame: Which of the file's pictures, from 0; None where it has one alone.
        axis: Of a volume, as `decode` takes it.
    """

    root: str
    inside: str
    frame: int | None = None
    axis: int = AXIAL

    @cached_property
    def file(self) -> Path:
        """The file."""
        return Path(self.root, self.inside)

    @property
    def place(self) -> str:
        """As the report names it."""
        return self.inside if self.frame is None else f"{self.inside} [{self.frame}]"

    def stamp(self) -> tuple[int, ...]:
        """Size and times of the file; see `Picture`."""
        found = self.file.stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def digest(self) -> bytes:
        """SHA-256 of the file's bytes and of the picture's number in it.

        Raises:
            PictureRefused: The file cannot be read.
        """
        found = hashlib.sha256(f"{self.frame} {self.axis} ".encode() if self.frame is not None else b"")
        try:
            with self.file.open("rb") as stream:
                while part := stream.read(1 << 20):
                    found.update(part)
        except OSError as error:
            raise PictureRefused(NOT_A_FILE, private=f"{self.file}: {error}") from error
        return found.digest()

    def own_size(self) -> tuple[int, int]:
        """(height, width) that the file says.

        Raises:
            PictureRefused: It cannot be read as a picture.
        """
        return probe(self.file, axis=self.axis).size

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(height, width, channels) of `form`.

        Raises:
            PictureRefused: It cannot be read as that.
        """
        return decode(self.file, form, self.frame or 0, axis=self.axis)
