"""Pictures of files, as a source lists them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import decode
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True)
class FilePicture:
    path: Path

    @property
    def place(self) -> str:
        return self.path.name

    def digest(self) -> bytes:
        return hashlib.sha256(self.path.read_bytes()).digest()

    def stamp(self) -> tuple[int, ...]:
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        return decode(self.path, form)
