"""From stored values to what a modality measured: by its lookup table, or by its rescale slope and intercept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

from datasites.picture_files.dicom.elements import first_item, numbers, text
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.levels.lookup_table import descriptor, entries, looked_up
from datasites.picture_files.dicom.reasons import RESCALE
from datasites.picture_files.picture_refused import PictureRefused

Values = NDArray[np.float64]
Span = tuple[float, float]
# Of these the modality table turns values back into what reached the detector; it is not for display (C.8.7.1.1.2).
NOT_FOR_DISPLAY = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)


@dataclass(frozen=True)
class Modality:
    """The step from stored to modality values.

    Attributes:
        apply: Stored values to modality values.
        span: The smallest and largest that can come out, of stored values that have bounds.
    """

    apply: Callable[[Values], Values]
    span: Span | None


def modality(header: Header, groups: FrameGroups, stored: Span | None) -> Modality:
    """The step that one frame's header asks for.

    Args:
        header: The file's.
        groups: The frame's.
        stored: The smallest and largest stored value that the bits can hold; None of floating-point values.

    Raises:
        PictureRefused: A slope without an intercept, an intercept without a slope, a slope of 0, a broken table.
    """
    dataset = header.dataset
    if text(dataset, "SOPClassUID") in NOT_FOR_DISPLAY:
        return Modality(lambda values: values, stored)
    table = first_item(dataset, "ModalityLUTSequence")
    if table is not None:
        of = descriptor(table, "LUTDescriptor", signed=stored is None or stored[0] < 0)
        held = entries(table, "LUTData", of, little_endian=header.syntax.is_little_endian).astype(np.float64)
        return Modality(lambda values: looked_up(values, of, held), (0.0, float(of.peak)))
    holder = groups.holder("PixelValueTransformationSequence", "RescaleSlope", "RescaleIntercept")
    slopes, intercepts = numbers(holder, "RescaleSlope"), numbers(holder, "RescaleIntercept")
    if not slopes and not intercepts:
        return Modality(lambda values: values, stored)
    if len(slopes) != 1 or len(intercepts) != 1 or slopes[0] == 0:
        raise PictureRefused(RESCALE)
    slope, intercept = slopes[0], intercepts[0]
    ends = None if stored is None else sorted(one * slope + intercept for one in stored)
    return Modality(lambda values: values * slope + intercept, None if ends is None else (ends[0], ends[1]))
