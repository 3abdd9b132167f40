"""Checksums of pixels that a PNG or a TIFF file holds itself, and that Pillow seldom looks at."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

_SIGNATURE = 8  # bytes
_END = b"IEND"
_COMPRESSION = 259
_PLACES = ((273, 279), (324, 325))  # where strips, or tiles, begin, and how long they are
_DEFLATED = (8, 32946)
_INFLATED_AT_ONCE = 1 << 20


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


def has_broken_strips(tags: Any, stream: BinaryIO) -> bool:
    """Whether a strip or tile of a TIFF's page has changed, as far as one packed by Deflate tells.

    Args:
        tags: The page's.
        stream: The file.
    """
    return tags.get(_COMPRESSION) in _DEFLATED and any(map(_is_wrongly_deflated, _strips(tags, stream)))


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
