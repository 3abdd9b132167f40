"""From a picture file to an array, by its content and a declared form: the only way, at hospitals and researchers.

What it returns is private where the file is. A reason for a refusal names no value of the picture.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files import raster
from datasites.picture_files.file_bytes import FileBytes, PictureFile
from datasites.picture_files.file_pixels import PictureInfo
from datasites.picture_files.kind import kind_of
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import CHANGED, NOT_A_FILE
from datasites.picture_files.resize import to_form
from policies.plans.picture_form import PictureForm

AXIAL = 2


def decode(
    path: PictureFile, form: PictureForm, frame: int = 0, *, axis: int = AXIAL
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Reads one picture of a file as `form` says.

    Args:
        path: The file, or its bytes where they were read already. Its format is told by its content, whatever it is
            called.
        form: Size, channels, bits and the rules in between.
        frame: Which picture of the file, from 0 to `probe(path).frames` - 1.
        axis: Of a NIfTI volume, across which of the patient's axes slices are cut: 0 from left to right (sagittal
            slices), 1 from back to front (coronal), 2 from feet to head (axial).

    Returns:
        (height, width, channels) of `form`; uint16 where its `store_bits` is 16, else uint8.

    Raises:
        PictureRefused: It cannot be read as that, with the reason.
    """
    with _unchanged(path):
        kind = kind_of(path)
        if kind == "dicom":
            from datasites.picture_files import dicom_frames  # late: pydicom takes a second to import

            pixels = dicom_frames.pixels(path, form, frame)
        elif kind == "nifti":
            from datasites.picture_files import nifti  # late: so does nibabel

            pixels = nifti.pixels(path, form, frame, axis)
        else:
            pixels = raster.pixels(path, kind, form, frame)
    return to_form(pixels, form)


def probe(path: PictureFile, *, axis: int = AXIAL) -> PictureInfo:
    """Reads a file's header.

    Args:
        path: The file, or its bytes.
        axis: As in `decode`.

    Raises:
        PictureRefused: No picture of the file can be taken, as far as its header tells.
    """
    with _unchanged(path):
        kind = kind_of(path)
        if kind == "dicom":
            from datasites.picture_files import dicom_frames  # late: as in `decode`

            return dicom_frames.info(path)
        if kind == "nifti":
            from datasites.picture_files import nifti  # late: as in `decode`

            return nifti.info(path, axis)
        return raster.info(path, kind)


@contextmanager
def _unchanged(path: PictureFile) -> Iterator[None]:
    """Refuses a file that is replaced or written to meanwhile, whatever was read of it."""
    if isinstance(path, FileBytes):
        yield
        return
    before = _state(path)
    try:
        yield
    finally:
        if _state(path) != before:
            raise PictureRefused(CHANGED, private=str(path))


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise PictureRefused(NOT_A_FILE, private=f"{path}: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise PictureRefused(NOT_A_FILE, private=str(path))
    return found.st_ino, found.st_size, found.st_mtime_ns
