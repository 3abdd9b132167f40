"""One frame of a DICOM file as a radiologist would see it, by the declared form: the way from a file to levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.dicom.aspect import pixel_aspect
from datasites.picture_files.dicom.described import PALETTE, check_frame, described
from datasites.picture_files.dicom.elements import text
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.header import read_header
from datasites.picture_files.dicom.levels.colour import eight_bits
from datasites.picture_files.dicom.levels.grey import grey_levels
from datasites.picture_files.dicom.levels.palette import coloured
from datasites.picture_files.dicom.reasons import PHOTOMETRIC
from datasites.picture_files.dicom.stored_values import stored_values
from datasites.picture_files.file_bytes import PictureFile
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True, repr=False)
class SeenFrame:
    """What a radiologist would see of a frame, before it is resized.

    Attributes:
        levels: (rows, columns) grey, uint8 or, where the form keeps 16 bits, uint16; or (rows, columns, 3) uint8. Black
            is 0 and white the type's largest value.
        pixel_aspect: Height over width of a pixel; 1 unless the form asks for square pixels.
    """

    levels: NDArray[np.uint8] | NDArray[np.uint16]
    pixel_aspect: float


def pixels(path: PictureFile, form: PictureForm, frame: int = 0) -> SeenFrame:
    """Reads one frame of a file; only that frame is decoded.

    Raises:
        PictureRefused: It cannot be shown by the form, with the reason.
        OSError: The file cannot be read from the disk.
    """
    header = read_header(path)
    of = described(header)
    check_frame(of, frame)
    groups = FrameGroups(header.dataset, frame, of.frames)
    if text(header.dataset, "PixelPresentation") in ("COLOR", "MIXED"):
        raise PictureRefused(PHOTOMETRIC)
    aspect = pixel_aspect(header, groups) if form.square_pixels else 1.0
    stored = stored_values(header, of, frame)
    if of.photometric == PALETTE:
        return SeenFrame(coloured(stored.values, header, signed=of.signed), aspect)
    if of.samples == 3:
        return SeenFrame(eight_bits(stored.values, of.stored), aspect)
    return SeenFrame(grey_levels(stored.values, header, of, groups, form), aspect)
