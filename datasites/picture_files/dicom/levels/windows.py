"""Windows from black to white: a file's own window or table, the picture's percentiles, or the full range.

The formulas are those of PS3.3 C.11.2.1.2 and C.11.2.1.3, scaled to levels from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasites.picture_files.dicom.elements import numbers, text, value
from datasites.picture_files.dicom.frame_groups import FrameGroups
from datasites.picture_files.dicom.levels.lookup_table import descriptor, entries, looked_up, refuse_dark
from datasites.picture_files.dicom.levels.modality import Span, Values
from datasites.picture_files.dicom.reasons import BAD_WINDOW, NO_RANGE, NO_WINDOW
from datasites.picture_files.picture_refused import PictureRefused

Window = Callable[[Values], Values]
PER_MILLE = (5, 995)
FEW_BITS = 8  # of pictures that are meant to be shown as they are, where they say nothing else


def linear(centre: float, width: float) -> Window:
    """LINEAR: black up to centre - 0.5 - (width - 1)/2, white above centre - 0.5 + (width - 1)/2."""
    if width < 1:
        raise PictureRefused(BAD_WINDOW)
    if width == 1:
        return lambda values: np.where(values > centre - 0.5, 1.0, 0.0)
    return lambda values: np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def linear_exact(centre: float, width: float) -> Window:
    """LINEAR_EXACT: black up to centre - width/2, white above centre + width/2."""
    if width <= 0:
        raise PictureRefused(BAD_WINDOW)
    return lambda values: np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def sigmoid(centre: float, width: float) -> Window:
    """SIGMOID: 1 / (1 + exp(-4 (x - centre) / width))."""
    if width <= 0:
        raise PictureRefused(BAD_WINDOW)
    return lambda values: 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)))


FUNCTIONS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


def between(low: float, high: float) -> Window:
    """Black at `low`, white at `high`; where they are one value, white above it."""
    if high <= low:
        return lambda values: np.where(values > low, 1.0, 0.0)
    return lambda values: np.clip((values - low) / (high - low), 0.0, 1.0)


def full(span: Span | None) -> Window:
    """All that the stored bits can hold."""
    if span is None:
        raise PictureRefused(NO_RANGE)
    return between(*span)


def percentile(values: Values, counts: NDArray[np.int64]) -> Window:
    """From the 0.5th to the 99.5th percentile: the smallest values that so many of a thousand pixels do not exceed.

    Args:
        values: Every value that may occur, (n,).
        counts: In how many pixels each does, padding left out, (n,).
    """
    total = int(counts.sum())
    if total == 0:
        raise PictureRefused(NO_RANGE)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    low, high = (values[order[np.searchsorted(reached, -(-total * share // 1000))]] for share in PER_MILLE)
    return between(float(low), float(high))


def of_file(groups: FrameGroups, number: int, span: Span | None, stored_bits: int, *, little_endian: bool) -> Window:
    """The file's window of that number, its tables being counted before its windows.

    A file of at most 8 bits that has neither is shown as it is.

    Raises:
        PictureRefused: It has no window of that number and more than 8 bits, or the window is none.
    """
    holder = groups.holder("FrameVOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTSequence")
    tables = value(holder, "VOILUTSequence") or ()
    centres, widths = numbers(holder, "WindowCenter"), numbers(holder, "WindowWidth")
    if len(centres) != len(widths):
        raise PictureRefused(BAD_WINDOW)
    if not tables and not centres and stored_bits <= FEW_BITS:
        return full(span)
    if number < len(tables):
        return _table(tables[number], span, little_endian)
    place = number - len(tables)
    if place >= len(centres):
        raise PictureRefused(NO_WINDOW)
    function = FUNCTIONS.get(text(holder, "VOILUTFunction").upper() or "LINEAR")
    if function is None:
        raise PictureRefused(BAD_WINDOW)
    return function(centres[place], widths[place])


def _table(item: Dataset, span: Span | None, little_endian: bool) -> Window:
    of = descriptor(item, "LUTDescriptor", signed=span is None or span[0] < 0)
    held = entries(item, "LUTData", of, little_endian=little_endian)
    refuse_dark(of, held)
    shares = held / float(of.peak)
    return lambda values: looked_up(values, of, shares)
