"""Tells a picture file's format by its first bytes, never by its name alone."""

from __future__ import annotations

import gzip
import zlib

from datasites.picture_files.file_bytes import PictureFile
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NOT_A_FILE, UNKNOWN_FORMAT

HEADERLESS_DICOM = (".dcm", ".dicom")
_FIRST = 352  # bytes, which end with NIfTI's mark
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# JPEG 2000, JPEG XL, GIF, PSD, OpenEXR, NRRD, MetaImage, JPEG XR, QOI, CZI and WebM: there is no decoder for them here.
_NOT_READ = (
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
    b"\0\0\0\x0cJXL \r\n\x87\n",
    b"\xff\x0a",
    b"GIF8",
    b"8BPS",
    b"v/1\x01",
    b"NRRD",
    b"ObjectType = Image",
    b"II\xbc\x01",
    b"qoif",
    b"ZISRAW",
    b"\x1aE\xdf\xa3",
)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def kind_of(path: PictureFile) -> str:
    """`png`, `jpeg`, `tiff`, `bmp`, `webp`, `dicom` or `nifti`.

    Raises:
        PictureRefused: None of these, or the file cannot be opened.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(_FIRST)
    except OSError as error:
        raise PictureRefused(NOT_A_FILE, private=f"{path}: {error}") from error
    if first[:2] == b"\x1f\x8b":
        first = _unpacked(path)
        kind = "nifti" if _is_nifti(first) else None
    else:
        kind = _kind(first)
    if kind is None and path.suffix.lower() in HEADERLESS_DICOM:
        return "dicom"
    if kind is None:
        raise PictureRefused(UNKNOWN_FORMAT, private=str(path))
    return kind


def _kind(first: bytes) -> str | None:
    if first[128:132] == b"DICM":  # before TIFF, which a DICOM file may be as well
        return "dicom"
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if first.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if first.startswith(_TIFF):
        return "tiff"
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return "webp"
    if first.startswith(b"BM") and int.from_bytes(first[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    return "nifti" if _is_nifti(first) else None


def is_known_picture(path: PictureFile) -> bool:
    """Whether a file of no format that is read is a picture, a volume or a film all the same, by its first bytes.

    Raises:
        OSError: It cannot be opened.
    """
    with path.open("rb") as stream:
        first = stream.read(_FIRST)
    return first.startswith(_NOT_READ) or first[4:8] == b"ftyp" or _is_nifti(first, alone=False)


def _is_nifti(first: bytes, *, alone: bool = True) -> bool:
    """Version 1 or 2, in either byte order, in one file or the header of a pair."""
    sizes = {int.from_bytes(first[:4], "little"), int.from_bytes(first[:4], "big")}
    one, two = (b"n+1\0", b"n+2\0") if alone else (b"ni1\0", b"ni2\0")
    return (348 in sizes and first[344:348] == one) or (540 in sizes and first[4:8] == two)


def _unpacked(path: PictureFile) -> bytes:
    try:
        with path.open("rb") as packed, gzip.open(packed) as stream:
            return stream.read(_FIRST)
    except (OSError, EOFError, zlib.error):
        return b""
