"""Scans of a JPEG file: whether all that its frame announces is there. libjpeg shows what came, and says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # none of the coded values', which restarts are among
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # of others a scan has all of its colours, whatever some encoders write there
_SCAN, _END = 0xDA, 0xD9
_COEFFICIENTS = 64
_MISSING = 14  # more bits than a scan can leave for a later one


def lacks_scans(content: bytes) -> bool:
    """Whether a component, a coefficient or its lowest bits have no scan before the file says that it ends.

    A progressive file is coarse then, and one with a scan for each colour lacks a colour.

    Args:
        content: The file's bytes.
    """
    left: dict[int, list[int]] = {}
    for marker, body in _segments(content):
        if marker in _FRAMES and len(body) > 5:
            count = _COEFFICIENTS if marker in _PROGRESSIVE else 1
            left = {number: [_MISSING] * count for number in body[6::3]}
        elif marker == _SCAN and len(body) >= 2 * body[0] + 4:
            start, end, bits = body[2 * body[0] + 1 : 2 * body[0] + 4]
            for number in body[1 : 2 * body[0] + 1 : 2]:
                if len(left.get(number, ())) == 1:
                    left[number] = [0]
                elif number in left:
                    left[number][start : end + 1] = [bits & 15] * (end + 1 - start)
            if not _anything(left):
                return False
    return _anything(left)


def _anything(left: dict[int, list[int]]) -> bool:
    return any(map(any, left.values()))


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, what follows its length) of each segment up to the end of the picture."""
    at = 2
    while found := _MARKER.search(content, at):
        marker, at = found[1][0], found.end()
        if marker == _END:
            return
        length = int.from_bytes(content[at : at + 2], "big")
        yield marker, content[at + 2 : at + length]
        at += length
