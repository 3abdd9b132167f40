"""Grey pictures: stored values through modality and window to levels, once for each value that may occur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.dicom.described import DescribedPixels
from datasites.picture_files.dicom.elements import numbers, text
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.levels import windows
from datasites.picture_files.dicom.levels.modality import Modality, Span, modality
from datasites.picture_files.dicom.reasons import NO_RANGE, PHOTOMETRIC
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

MOST_IN_TABLE = 16  # bits; wider values are computed pixel by pixel

Levels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, repr=False)
class _Occurring:
    """The values that may occur in a picture, and how to put something in their place.

    Attributes:
        values: Stored values, (n,).
        places: For each pixel, which of them it is, (rows, columns).
    """

    values: NDArray[np.float64]
    places: NDArray[Any]


def grey_levels(
    stored: NDArray[Any], header: Header, of: DescribedPixels, groups: FrameGroups, form: PictureForm
) -> Levels:
    """What a grey picture looks like by `form`: 0 is black, 255 (or 65,535 where the form keeps 16 bits) white.

    Args:
        stored: The frame's values, (rows, columns).
        header: The file's.
        of: How its pixels lie.
        groups: The frame's own values.
        form: The declared rule.

    Raises:
        PictureRefused: The rule cannot be followed, with the reason.
    """
    span = _span(of) if stored.dtype.kind in "iu" else None
    occurring = _occurring(stored, of, span)
    step = modality(header, groups, span)
    measured = step.apply(occurring.values)
    window = _window(header, of, groups, form, step, occurring, measured)
    levels = window(measured)
    if _inverted(header, of):
        levels = 1.0 - levels
    peak, kind = (255, np.uint8) if form.store_bits == 8 else (65_535, np.uint16)
    table: Levels = np.floor(levels * peak + 0.5).astype(kind)
    return table[occurring.places]


def _inverted(header: Header, of: DescribedPixels) -> bool:
    """Whether small values are white. Programs differ on MONOCHROME1 whose presentation is IDENTITY: it is refused."""
    shape = text(header.dataset, "PresentationLUTShape")
    if of.photometric == "MONOCHROME1" and shape == "IDENTITY":
        raise PictureRefused(PHOTOMETRIC)
    return of.photometric == "MONOCHROME1" or shape == "INVERSE"


def _span(of: DescribedPixels) -> Span:
    low = -(1 << of.stored - 1) if of.signed else 0
    return float(low), float(low + (1 << of.stored) - 1)


def _occurring(stored: NDArray[Any], of: DescribedPixels, span: Span | None) -> _Occurring:
    if span is not None and of.stored <= MOST_IN_TABLE:
        low = int(span[0])
        places = stored.astype(np.int32) - low if low else stored
        return _Occurring(np.arange(span[0], span[1] + 1.0), places)
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise PictureRefused(NO_RANGE)
    values, places = np.unique(stored, return_inverse=True)
    return _Occurring(values.astype(np.float64), places.reshape(stored.shape))


def _window(
    header: Header,
    of: DescribedPixels,
    groups: FrameGroups,
    form: PictureForm,
    step: Modality,
    occurring: _Occurring,
    measured: NDArray[np.float64],
) -> windows.Window:
    if form.window == "full":
        return windows.full(step.span)
    if form.window == "percentile":
        counts = np.bincount(occurring.places.reshape(-1), minlength=len(measured))
        return windows.percentile(measured, np.where(_padding(header, of, occurring.values), 0, counts))
    little_endian = header.syntax.is_little_endian
    return windows.of_file(groups, form.window_number, step.span, of.stored, little_endian=little_endian)


def _padding(header: Header, of: DescribedPixels, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values fill the frame around the picture, as the header says."""
    keyword = (header.place.keyword if header.place else "").removesuffix("PixelData") + "PixelPadding"
    ends = [*numbers(header.dataset, f"{keyword}Value")[:1], *numbers(header.dataset, f"{keyword}RangeLimit")[:1]]
    if of.signed:  # where the header wrote it as an unsigned number
        ends = [end - (1 << of.allocated) if end >= 1 << of.allocated - 1 else end for end in ends]
    if not ends:
        return np.zeros(len(values), bool)
    return (values >= min(ends)) & (values <= max(ends))
