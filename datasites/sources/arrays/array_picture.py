"""A picture that is one row of an array on the disk. Private."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.depth import white_of
from datasites.picture_files.file_pixels import FilePixels
from datasites.picture_files.resize import to_form
from datasites.sources.arrays.members import MappedArray
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True)
class ArrayPicture:
    """One row of an array.

    Attributes:
        array: Where the array is.
        key: What it is called in its file.
        row: Which row, from 0.
        layout: What its axes are: NHW, NHWC or NCHW.
    """

    array: MappedArray
    key: str
    row: int
    layout: str

    @property
    def place(self) -> str:
        """As the report names it."""
        return f"{self.key}[{self.row}]"

    def stamp(self) -> tuple[int, ...]:
        """Size and times of the file; see `Picture`."""
        found = Path(self.array.file).stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def digest(self) -> bytes:
        """SHA-256 of the row's type, shape and values."""
        values = self.array.opened()[self.row]
        head = f"{self.array.dtype} {values.shape} {self.layout} "
        return hashlib.sha256(head.encode() + np.asarray(values).tobytes()).digest()

    def own_size(self) -> tuple[int, int]:
        """(height, width) of the array."""
        height, width = self.array.shape[2:] if self.layout == "NCHW" else self.array.shape[1:3]
        return height, width

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(height, width, channels) of `form`.

        Raises:
            PictureRefused: It has 16 bits, and neither `form` nor its values say how many count.
        """
        return to_form(self._own(form), form)

    def _own(self, form: PictureForm) -> FilePixels:
        values: NDArray[Any] = np.asarray(self.array.opened()[self.row])
        if self.layout == "NHW":
            values = values[:, :, None]
        elif self.layout == "NCHW":
            values = values.transpose(1, 2, 0)
        if values.dtype == np.uint8:
            return FilePixels(np.ascontiguousarray(values))
        white = white_of(values, stated=None, declared=form.bits)
        return FilePixels(np.ascontiguousarray(values).astype(np.uint16), white)
