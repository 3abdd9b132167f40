"""The header of a DICOM file: elements of an allow-list, and where the pixels lie. No name is read."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from io import SEEK_CUR, SEEK_END, BytesIO
from typing import BinaryIO

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from datasites.picture_files.dicom.elements import tag_of
from datasites.picture_files.dicom.reasons import BROKEN, CUT_OFF, NOT_DICOM, SYNTAX
from datasites.picture_files.file_bytes import PictureFile, seen
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import TOO_LARGE

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
_END_OF_SEQUENCE = (b"\xfe\xff\xdd\xe0", b"\xff\xfe\xe0\xdd")  # in little and in big endian
LONG_LENGTHS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")

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
        cut_off: Whether the file has no pixels and ends within an element, or before the first one.
    """

    path: PictureFile
    dataset: Dataset
    syntax: UID
    place: PixelPlace | None
    graphics: bool
    inflated: bytes | None
    cut_off: bool

    def open(self) -> BinaryIO:
        """The source in which `place` counts."""
        return BytesIO(self.inflated) if self.inflated is not None else self.path.open("rb")

    @property
    def source_size(self) -> int:
        """Bytes of that source."""
        return len(self.inflated) if self.inflated is not None else seen(self.path)[1]


class _Watch:
    """Looks at each outermost element on the way and stops before the pixels."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.place: PixelPlace | None = None
        self.graphics = False
        self._end: int | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag.group & 0xFF00 in (0x5000, 0x6000) and tag.group % 2 == 0:
            self.graphics = True
        self._end = None if length == UNDEFINED_LENGTH else self._file.tell() + length
        if tag not in PIXEL_KEYWORDS:
            return False
        self.place = PixelPlace(PIXEL_KEYWORDS[tag], vr or "OW", self._file.tell(), length)
        return True

    def is_cut_off(self) -> bool:
        """Whether the source ends without pixels and elsewhere than behind the last element that was looked at."""
        if self.place is not None:
            return False
        if self._end is not None:
            return self._file.seek(0, SEEK_END) != self._end
        self._file.seek(max(0, self._file.seek(0, SEEK_END) - 8))
        return self._file.read(4) not in _END_OF_SEQUENCE


def read_header(path: PictureFile, keywords: Collection[str] = FOR_PIXELS) -> Header:
    """Reads the elements of `keywords` and nothing else. The last file's header is kept for its further frames.

    Raises:
        PictureRefused: It is no DICOM file, broken, or deflated to more than a picture needs.
        OSError: It cannot be opened.
    """
    return _read(path, frozenset(keywords), seen(path))


@lru_cache(maxsize=1)
def _read(path: PictureFile, keywords: frozenset[str], state: tuple[int, int]) -> Header:
    tags: list[BaseTag | int] = [int(tag_of(keyword)) for keyword in keywords]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file:
                return _parsed(path, file, tags)
        except (MemoryError, PictureRefused):
            raise
        except Exception as error:  # whatever a broken file does to the parser, which also raises OSError of its own
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise PictureRefused(BROKEN, private=type(error).__name__) from error


def _parsed(path: PictureFile, file: BinaryIO, tags: list[BaseTag | int]) -> Header:
    syntax = _transfer_syntax(file)
    deflated = syntax == DeflatedExplicitVRLittleEndian
    inflated = _inflate(file) if deflated else None
    source = file if inflated is None else BytesIO(inflated)
    watch = _Watch(source)
    implicit, little_endian = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    try:
        dataset = read_dataset(source, implicit, little_endian, stop_when=watch, specific_tags=tags)
    except (EOFError, OSError, struct.error) as error:  # of the parser's own, where it came to the end
        if getattr(error, "errno", None) is None and not source.read(1):
            raise PictureRefused(CUT_OFF, private=type(error).__name__) from error
        raise
    return Header(path, dataset, syntax, watch.place, watch.graphics, inflated, watch.is_cut_off())


def _transfer_syntax(file: BinaryIO) -> UID:
    """Reads the file meta information, of which one element counts, and stops behind it."""
    if file.read(132)[128:] != b"DICM":
        raise PictureRefused(NOT_DICOM)
    syntax = b""
    while len(start := file.read(8)) == 8 and start[:2] == b"\x02\x00":
        long = start[4:6] in LONG_LENGTHS
        length = int.from_bytes(file.read(4) if long else start[6:8], "little")
        if start[2:4] == b"\x10\x00" and not long:
            syntax = file.read(length)
        else:
            file.seek(length, SEEK_CUR)
    file.seek(-len(start), SEEK_CUR)
    if not syntax and len(start) < 8:
        raise PictureRefused(CUT_OFF)
    if not syntax:
        raise PictureRefused(SYNTAX, private="the file names no transfer syntax")
    return UID(syntax.decode("ascii").rstrip("\0 "))


def _inflate(file: BinaryIO) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = unpacker.decompress(file.read(MOST_INFLATED), MOST_INFLATED)
    if unpacker.unconsumed_tail:
        raise PictureRefused(TOO_LARGE)
    return inflated
