"""Checksums of pixels that a PNG or a TIFF file holds itself, and that Pillow seldom looks at."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = 8  # bytes
_END = b"IEND"
_COMPRESSION = 259
_PLACES = ((273, 279), (324, 325))  # where strips, or tiles, begin, and how long they are
_DEFLATED = (8, 32946)
_INFLATED_AT_ONCE = 1 << 20
_ROWS, _PLANES, _PREDICTOR, _WIDE, _HIGH = 278, 284, 317, 322, 323
_DIFFERENCES = 2  # of each number to the one on its left
_AS_PACKED = ("L", "RGB", "I;16", "I;16B")  # Pillow's kinds of numbers, if the bytes are those of the file


def has_broken_chunks(content: bytes) -> bool:
    """Whether a PNG's chunk that its picture needs has changed since it was written.

    Args:
        content: The file's bytes.
    """
    at = _SIGNATURE
    while at + 12 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 8 + length
        if not kind.isalpha():
            return True
        is_needed = kind[:1].isupper()
        if is_needed and content[end : end + 4] != zlib.crc32(content[at + 4 : end]).to_bytes(4, "big"):
            return end + 4 <= len(content)  # else it is cut short, of which its decoder tells
        if kind == _END:
            return False
        at = end + 4
    return False


def has_broken_strips(picture: Any, stream: BinaryIO) -> bool:
    """Whether a strip or tile of a TIFF's page has changed, as far as one packed by Deflate tells.

    Guarantees:
        A strip counts as whole only if its checksum is that of the pixels that were decoded, or of what it holds.

    Args:
        picture: Open at the page, which is decoded.
        stream: The file.
    """
    if picture.tag_v2.get(_COMPRESSION) not in _DEFLATED:
        return False
    picture.load()
    parts = itertools.chain(_shown(picture), itertools.repeat(None))
    return any(
        not _is_of(strip, part) and _is_wrongly_deflated(strip)
        for strip, part in zip(_strips(picture.tag_v2, stream), parts, strict=False)
    )


def _shown(picture: Any) -> Iterator[NDArray[Any]]:
    """The pixels of each strip or tile of a decoded page, packed as the file says, (h, w) or (h, w, C), in their order.

    Of pages of planes, or of other numbers than Pillow has, there are none: these are unpacked once more.
    """
    tags = picture.tag_v2
    if tags.get(_PLANES, 1) != 1 or picture.mode not in _AS_PACKED:
        return
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    high, wide = int(tags.get(_HIGH, tags.get(_ROWS, height))), int(tags.get(_WIDE, width))
    for top, left in itertools.product(range(0, height, high), range(0, width, wide)):
        part = pixels[top : top + high, left : left + wide]
        packed = part.copy()
        if tags.get(_PREDICTOR) == _DIFFERENCES:
            np.subtract(part[:, 1:], part[:, :-1], out=packed[:, 1:])
        yield packed


def _is_of(strip: bytes, part: NDArray[Any] | None) -> bool:
    """Whether a packed strip's checksum is that of its pixels, which takes a tenth of the time to unpack it again."""
    return part is not None and zlib.adler32(part.data) == int.from_bytes(strip[-4:], "big")


def _strips(tags: Any, stream: BinaryIO) -> Iterator[bytes]:
    for places, lengths in _PLACES:
        for place, length in zip(tags.get(places, ()), tags.get(lengths, ()), strict=False):
            stream.seek(place)
            yield stream.read(length)


def _is_wrongly_deflated(strip: bytes) -> bool:
    inflating, rest = zlib.decompressobj(), strip
    try:
        while rest and not inflating.eof:
            inflating.decompress(rest, _INFLATED_AT_ONCE)
            rest = inflating.unconsumed_tail
    except zlib.error:
        return True
    return bool(strip) and not inflating.eof  # a tile without bytes is one that nobody wrote
