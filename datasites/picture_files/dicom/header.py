"""What is read of a DICOM file before its pixels: the elements of an allow-list, and where the pixels lie. Never a name."""

from __future__ import annotations

import logging
import os
import warnings
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from datasites.picture_files.dicom.reasons import BROKEN, NOT_DICOM, SYNTAX, TOO_LARGE
from datasites.picture_files.picture_refused import PictureRefused

FOR_PIXELS = (
    "SOPClassUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "PresentationLUTShape",
    *(
        f"{segmented}{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    ),
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
MOST_INFLATED = 1 << 28  # bytes of a deflated file
UNDEFINED_LENGTH = 0xFFFFFFFF

# pydicom writes values of elements and of broken files to its log and as warnings: here only reasons leave.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class PixelPlace:
    """Where the pixel data lies in its source, and how: its keyword, representation, first byte and length."""

    keyword: str
    vr: str
    start: int
    length: int


@dataclass(frozen=True, repr=False)
class Header:
    """The read part of a file.

    Attributes:
        path: The file.
        dataset: The elements that were asked for and are there.
        syntax: Its transfer syntax.
        place: Where its pixels are; None where it has none.
        graphics: Whether it has overlays or curves beside its pixels.
        inflated: All elements, decompressed, of a deflated file.
    """

    path: Path
    dataset: Dataset
    syntax: UID
    place: PixelPlace | None
    graphics: bool
    inflated: bytes | None

    def open(self) -> BinaryIO:
        """The source in which `place` counts."""
        return BytesIO(self.inflated) if self.inflated is not None else self.path.open("rb")

    @property
    def source_size(self) -> int:
        """Bytes of that source."""
        return len(self.inflated) if self.inflated is not None else self.path.stat().st_size


class _Watch:
    """Looks at each outermost element on the way and stops before the pixels."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.place: PixelPlace | None = None
        self.graphics = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag.group & 0xFF00 in (0x5000, 0x6000) and tag.group % 2 == 0:
            self.graphics = True
        if tag not in PIXEL_KEYWORDS:
            return False
        self.place = PixelPlace(PIXEL_KEYWORDS[tag], vr or "OW", self._file.tell(), length)
        return True


def read_header(path: Path, keywords: Collection[str] = FOR_PIXELS) -> Header:
    """Reads the elements of `keywords` and nothing else. The last file's header is kept for its further frames.

    Raises:
        PictureRefused: It is no DICOM file, broken, or deflated to more than a picture needs.
        OSError: It cannot be opened.
    """
    seen = os.stat(path)
    return _read(path, frozenset(keywords), (seen.st_mtime_ns, seen.st_size))


@lru_cache(maxsize=1)
def _read(path: Path, keywords: frozenset[str], seen: tuple[int, int]) -> Header:
    tags: list[BaseTag | int] = [Tag(keyword) for keyword in sorted(keywords)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file:
                return _parsed(path, file, tags)
        except (MemoryError, PictureRefused):
            raise
        except InvalidDicomError as error:
            raise PictureRefused(NOT_DICOM) from error
        except Exception as error:  # whatever a broken file does to the parser, which also raises OSError of its own
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise PictureRefused(BROKEN, private=type(error).__name__) from error


def _parsed(path: Path, file: BinaryIO, tags: list[BaseTag | int]) -> Header:
    meta = read_file_meta_info(path)
    syntax = meta.get("TransferSyntaxUID")
    if not syntax:
        raise PictureRefused(SYNTAX, private="the file names no transfer syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        inflated = _inflate(file, 128 + 4 + 12 + int(meta.FileMetaInformationGroupLength))
        source: BinaryIO = BytesIO(inflated)
        watch = _Watch(source)
        dataset = read_dataset(source, False, True, stop_when=watch, specific_tags=tags)
        return Header(path, dataset, syntax, watch.place, watch.graphics, inflated)
    watch = _Watch(file)
    dataset = read_partial(file, stop_when=watch, specific_tags=tags)
    return Header(path, dataset, syntax, watch.place, watch.graphics, None)


def _inflate(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = unpacker.decompress(file.read(MOST_INFLATED), MOST_INFLATED)
    if unpacker.unconsumed_tail:
        raise PictureRefused(TOO_LARGE)
    return inflated
