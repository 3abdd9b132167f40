"""Pixels as the reader of each format gives them, and what a file's header says. Both are private where the file is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

MAX_PIXELS = 64_000_000


@dataclass(frozen=True, eq=False, repr=False)
class FilePixels:
    """A picture in its own size and depth, before a form is applied.

    Attributes:
        values: uint8, uint16 or float32, (H, W, 1) or (H, W, 3), from 0, which is black, to `white`. Upright, as it is
            to be looked at; what was transparent is black.
        white: What white is: 255, or what the significant bits can hold.
        aspect: A pixel's height divided by its width.
    """

    values: NDArray[Any]
    white: float = 255.0
    aspect: float = 1.0


@dataclass(frozen=True)
class PictureInfo:
    """What a file's header says, without a pixel read.

    Attributes:
        kind: `png`, `jpeg`, `tiff`, `bmp`, `webp`, `dicom` or `nifti`, by the file's content.
        size: (height, width) of an upright picture, the first where there are several.
        channels: 1 or 3.
        bits: Bits of each value that count; of a file that does not say so, bits that are stored.
        bits_stated: Whether the file says how many of its bits count.
        frames: Pictures in the file: pages of a TIFF, frames of a DICOM object, slices of a volume.
        aspect: A pixel's height divided by its width.
    """

    kind: str
    size: tuple[int, int]
    channels: int
    bits: int = 8
    bits_stated: bool = True
    frames: int = 1
    aspect: float = 1.0
