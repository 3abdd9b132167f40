"""The shape of a pixel in the patient: how much higher than wide it is."""

from __future__ import annotations

from datasites.picture_files.dicom.elements import numbers
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.reasons import ASPECT
from datasites.picture_files.picture_refused import PictureRefused

ELEMENTS = ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
MOST = 20.0


def pixel_aspect(header: Header, groups: FrameGroups) -> float:
    """Height over width of a pixel; 1 where the file says nothing of it. In the patient goes before at the detector.

    Raises:
        PictureRefused: It says something that is no shape.
    """
    found = numbers(groups.holder("PixelMeasuresSequence", "PixelSpacing"), "PixelSpacing")
    for keyword in ELEMENTS:
        found = found or numbers(header.dataset, keyword)
    if not found:
        return 1.0
    if len(found) != 2 or min(found) <= 0 or not 1 / MOST <= found[0] / found[1] <= MOST:
        raise PictureRefused(ASPECT)
    return found[0] / found[1]
