"""A picture that is a frame of a file: it is read each time anew, and holds no pixels. Private."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import decode
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True, repr=False)
class FileFrame:
    """One frame of a file.

    Attributes:
        path: The file.
        place: Where it is in its source, for the hospital's own report.
        frame: Which of its frames, from 0.
    """

    path: Path
    place: str
    frame: int = 0

    def digest(self) -> bytes:
        """SHA-256 of the file's bytes and the frame, 32 bytes."""
        seen = self.path.stat()
        whole = _digest(self.path, seen.st_mtime_ns, seen.st_size)
        return hashlib.sha256(whole + self.frame.to_bytes(8, "big")).digest()

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(height, width, channels) as `form` says.

        Raises:
            PictureRefused: It cannot be read as that, with the reason.
        """
        return decode(self.path, form, self.frame)


@lru_cache(maxsize=1)  # the frames of a file come one after the other
def _digest(path: Path, changed: int, size: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
