"""Frames of DICOM objects, as `datasites.picture_files.dicom` shows them. What is read stays inside."""

from __future__ import annotations

import numpy as np

from datasites.picture_files.dicom.aspect import pixel_aspect
from datasites.picture_files.dicom.described import PALETTE, described
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.header import read_header
from datasites.picture_files.dicom.pixels import pixels as seen_frame
from datasites.picture_files.file_bytes import PictureFile
from datasites.picture_files.file_pixels import FilePixels, PictureInfo
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NOT_A_FILE
from policies.plans.picture_form import PictureForm


def info(path: PictureFile) -> PictureInfo:
    """What the header says of the frames, whose shape in the patient is the first one's.

    Raises:
        PictureRefused: No frame can be taken, as far as the header tells.
    """
    try:
        header = read_header(path)
    except OSError as error:
        raise PictureRefused(NOT_A_FILE, private=f"{path}: {error}") from error
    of = described(header)
    grey = of.samples == 1 and of.photometric != PALETTE
    try:
        aspect = pixel_aspect(header, FrameGroups(header.dataset, 0, of.frames))
    except PictureRefused:  # which decoding does where the form asks for square pixels
        aspect = 1.0
    return PictureInfo("dicom", (of.rows, of.columns), 1 if grey else 3, of.stored, True, of.frames, aspect)


def pixels(path: PictureFile, form: PictureForm, frame: int) -> FilePixels:
    """One frame, from black to white by the form.

    Raises:
        PictureRefused: It cannot be shown by the form.
    """
    try:
        seen = seen_frame(path, form, frame)
    except OSError as error:
        raise PictureRefused(NOT_A_FILE, private=f"{path}: {error}") from error
    values = seen.levels if seen.levels.ndim == 3 else seen.levels[:, :, None]
    return FilePixels(values, float(np.iinfo(values.dtype).max), seen.pixel_aspect)
