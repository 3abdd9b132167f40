"""Palette pictures: an index for each pixel, and a colour for each index, whole or in segments (PS3.3 C.7.9)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasites.picture_files.dicom.elements import value
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.levels.lookup_table import Descriptor, descriptor, entries, refuse_dark, words
from datasites.picture_files.dicom.reasons import LOOKUP_TABLE
from datasites.picture_files.picture_refused import PictureRefused

COLOURS = ("Red", "Green", "Blue")
DISCRETE, LINEAR, INDIRECT = 0, 1, 2


def coloured(indices: NDArray[Any], header: Header, *, signed: bool) -> NDArray[np.uint8]:
    """The palette's colours in place of the indices, (rows, columns, 3), of 8 bits by the palette's own depth.

    Raises:
        PictureRefused: A palette is missing, incomplete or broken.
    """
    dataset = header.dataset
    of = [descriptor(dataset, f"{colour}PaletteColorLookupTableDescriptor", signed=signed) for colour in COLOURS]
    if len({(one.entries, one.first) for one in of}) != 1:
        raise PictureRefused(LOOKUP_TABLE)
    little_endian = header.syntax.is_little_endian
    held = [_held(dataset, colour, one, little_endian) for colour, one in zip(COLOURS, of, strict=True)]
    refuse_dark(min(of, key=lambda one: one.bits), *held)
    tables = [_eight_bits(table, one) for table, one in zip(held, of, strict=True)]
    places = np.clip(indices.astype(np.int64) - of[0].first, 0, of[0].entries - 1)
    return np.stack([table[places] for table in tables], axis=-1)


def _held(dataset: Dataset, colour: str, of: Descriptor, little_endian: bool) -> NDArray[np.uint16]:
    keyword = f"{colour}PaletteColorLookupTableData"
    if value(dataset, keyword) is not None:
        return entries(dataset, keyword, of, little_endian=little_endian)
    return expanded(words(value(dataset, f"Segmented{keyword}"), of, little_endian, in_segments=True), of)


def _eight_bits(held: NDArray[np.uint16], of: Descriptor) -> NDArray[np.uint8]:
    return ((held.astype(np.uint32) * 510 + of.peak) // (2 * of.peak)).astype(np.uint8)


def expanded(segments: NDArray[np.uint16], of: Descriptor) -> NDArray[np.uint16]:
    """The whole table of one in segments: values as they are, straight lines, and copies of earlier segments.

    Args:
        segments: Numbers of 8 or 16 bits, (n,).
        of: The table's descriptor.

    Returns:
        The entries, (entries,).

    Raises:
        PictureRefused: A segment is none of these or stands where it cannot, or there are more or fewer entries.
    """
    held: list[int] = []
    try:
        _expand(segments.tolist(), 0, None, held, of)
    except IndexError as error:
        raise PictureRefused(LOOKUP_TABLE) from error
    if len(held) != of.entries or max(held) > of.peak:
        raise PictureRefused(LOOKUP_TABLE)
    return np.array(held, np.uint16)


def _expand(segments: list[int], at: int, count: int | None, held: list[int], of: Descriptor) -> None:
    """Appends `count` segments from place `at`, or all; those of a copy hold no copies."""
    copied = count is not None
    while len(held) < of.entries and count != 0 and at + 1 < len(segments):
        kind, length = segments[at], segments[at + 1]
        at += 2
        if kind == DISCRETE:
            held += segments[at : at + length]
            at += length
        elif kind == LINEAR and held:
            held += _line(held[-1], segments[at], length)
            at += 1
        elif kind == INDIRECT and held and not copied:
            start, at = _offset(segments, at, of.bits)
            _expand(segments, start, length, held, of)
        else:
            raise PictureRefused(LOOKUP_TABLE)
        count = None if count is None else count - 1


def _line(start: int, end: int, length: int) -> list[int]:
    """`length` values after `start`, in equal steps to `end`, rounded."""
    return [(2 * (start * (length - step) + end * step) + length) // (2 * length) for step in range(1, length + 1)]


def _offset(segments: list[int], at: int, bits: int) -> tuple[int, int]:
    """Where a copied segment stands, and where the next one of this table does; the file counts in bytes."""
    if bits > 8:
        return (segments[at] | segments[at + 1] << 16) // 2, at + 2
    low, high = segments[at] | segments[at + 1] << 8, segments[at + 2] | segments[at + 3] << 8
    return low | high << 16, at + 4
