"""The size that a compressed frame itself says it has: read before it is decoded, so that no small file becomes huge."""

from __future__ import annotations

from struct import unpack_from

SIZES_OF_JPEG = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame; not tables and conditioning
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
START_OF_2000 = b"\xff\x4f\xff\x51"


def coded_size(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, samples) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where they cannot be found."""
    at = frame.find(START_OF_2000, 0, 4096)
    if at >= 0 and len(frame) >= at + 42:
        right, lower, left, upper = unpack_from(">4I", frame, at + 8)
        return lower - upper, right - left, unpack_from(">H", frame, at + 40)[0]
    return _size_of_jpeg(frame)


def _size_of_jpeg(frame: bytes) -> tuple[int, int, int] | None:
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
        elif marker in SIZES_OF_JPEG:
            rows, columns, samples = unpack_from(">HHB", frame, at + 5)
            return rows, columns, samples
        elif marker in WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + unpack_from(">H", frame, at + 2)[0]
    return None
