"""Tags of a TIFF page that Pillow passes over, and by which its picture would be another, or not all of it."""

from __future__ import annotations

import re
from typing import Any

from datasites.picture_files.picture_refused import Reason
from datasites.picture_files.reasons import COLOUR_SPACE, HIDDEN_PAGES, LONG_VALUES, SLIDE_FILE, UNKNOWN_LAYOUT

_COMPRESSION, _PHOTOMETRIC, _DESCRIPTION, _PROGRAM = 259, 262, 270, 305
_COLOURS, _INKS, _KINDS_OF_NUMBERS, _XMP, _DEPTH, _HAMAMATSU = 320, 332, 339, 700, 32997, 65420
_WIDTH, _HEIGHT, _LENGTHS, _LENGTHS_OF_TILES, _TINTS = 256, 257, 279, 325, 530
_PALETTE, _YCBCR, _SIGNED, _OTHER_INKS, _UNPACKED, _WEBP = 3, 6, 2, 2, 1, 50001
_OF_IMAGEJ = re.compile(r"^ImageJ=.*?^images=(\d+)", re.DOTALL | re.MULTILINE)
_OF_TIFFFILE = re.compile(r'^\{"shape": \[.*"truncated": true', re.DOTALL)
_APERIO = "Aperio"
_OF_SCANNERS = ("leica-microsystems.com/scn", "Label Image", "Label_Image", "level=")
_SCANNERS = ("Philips DP", "MedScan")


def refused_page(tags: Any) -> Reason | None:
    """Why a page cannot be taken, by its tags alone.

    Pillow takes values with a sign for ones without, any four inks for CMYK, a page that does not say what 0 is for
    one whose 0 is white, and of the 16 bits of a palette's entries the upper ones, which are 0 where a program has
    written 8. Pixels that share their tints it reads as if none did, on into the next strip, and what its libtiff
    lacks it calls damaged.
    """
    if _SIGNED in _several(tags.get(_KINDS_OF_NUMBERS)):
        return LONG_VALUES
    photometric = tags.get(_PHOTOMETRIC)
    has_dark_palette = photometric == _PALETTE and 0 < max(_several(tags.get(_COLOURS)), default=0) < 256
    if photometric is None or tags.get(_INKS) == _OTHER_INKS or has_dark_palette:
        return COLOUR_SPACE
    if max(_several(tags.get(_DEPTH)), default=1) > 1:
        return HIDDEN_PAGES
    packing = tags.get(_COMPRESSION, _UNPACKED)
    has_shared_tints = photometric == _YCBCR and packing == _UNPACKED and _shares_tints(tags)
    return UNKNOWN_LAYOUT if has_shared_tints or packing == _WEBP else None


def _shares_tints(tags: Any) -> bool:
    """Whether pixels of a page that is not packed share their tints, as many say by their length alone."""
    there = sum(_several(tags.get(_LENGTHS))) or sum(_several(tags.get(_LENGTHS_OF_TILES)))
    return _several(tags.get(_TINTS)) not in ((), (1, 1)) or there < tags[_WIDTH] * tags[_HEIGHT] * 3


def hides_pages(tags: Any, count: int) -> bool:
    """Whether a stack's slices lie behind the first page without pages of their own, as ImageJ keeps large ones.

    Args:
        tags: The first page's.
        count: How many pages the file has.
    """
    said = _description(tags)
    of_imagej = _OF_IMAGEJ.search(said)
    return bool(of_imagej and int(of_imagej[1]) > count) or bool(_OF_TIFFFILE.search(said))


def is_aperio(tags: Any) -> bool:
    """Whether a page is of a slide in Aperio's form: the first page is the slide, the others smaller, or its label."""
    return _description(tags).startswith(_APERIO)


def refused_slide(tags: Any) -> Reason | None:
    """Why a page of a file with several is not taken: a slide scanner wrote it, in which nothing tells the label."""
    said = _description(tags)
    is_slide = (
        _HAMAMATSU in tags
        or said.startswith(_OF_SCANNERS[1:])
        or _OF_SCANNERS[0] in said
        or str(tags.get(_PROGRAM, "")).startswith(_SCANNERS)
        or b"<iScan" in _bytes(tags.get(_XMP))
    )
    return SLIDE_FILE if is_slide else None


def _description(tags: Any) -> str:
    return str(tags.get(_DESCRIPTION) or "")


def _bytes(found: Any) -> bytes:
    return found if isinstance(found, bytes) else str(found or "").encode()


def _several(found: Any) -> tuple[int, ...]:
    if found is None:
        return ()
    return tuple(found) if isinstance(found, tuple) else (found,)
