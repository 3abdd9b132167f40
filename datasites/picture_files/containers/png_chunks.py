"""Chunks of a PNG file beside its pixels, which Pillow does not pass on, or not before it has decoded them."""

from __future__ import annotations

from collections.abc import Iterator

from datasites.picture_files.file_bytes import PictureFile

_SIGNATURE = 8  # bytes
_SHOWN = 24  # bytes of a chunk that are looked at
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TURNING_TEXTS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")


def significant_bits(path: PictureFile) -> int | None:
    """The most significant bits of its channels, by its sBIT chunk; None where it has none.

    Raises:
        OSError: The file cannot be read.
    """
    for kind, begins in _chunks(path):
        if kind == b"sBIT":
            return max(begins[:3], default=0) or None
    return None


def may_be_turned(path: PictureFile) -> bool:
    """Whether it holds anything that can say that the picture is to be turned.

    Raises:
        OSError: The file cannot be read.
    """
    return any(
        kind == b"eXIf" or (kind in _TEXTS and begins.startswith(_TURNING_TEXTS)) for kind, begins in _chunks(path)
    )


def _chunks(path: PictureFile) -> Iterator[tuple[bytes, bytes]]:
    """(kind, first bytes) of each chunk."""
    with path.open("rb") as stream:
        stream.seek(_SIGNATURE)
        while len(head := stream.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            begins = stream.read(min(length, _SHOWN))
            yield head[4:], begins
            stream.seek(length - len(begins) + 4, 1)
