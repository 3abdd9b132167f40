"""The codestream of a compressed frame: its own size, told before it is decoded, so that no small file becomes huge."""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

SIZES_OF_JPEG = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # start of frame; not tables and conditioning
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
START_OF_SCAN, APPLICATION_14 = 0xDA, 0xEE
END = b"\xff\xd9"
START_OF_2000 = b"\xff\x4f\xff\x51"


def coded_size(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, samples) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where they cannot be found."""
    at = frame.find(START_OF_2000, 0, 4096)
    if at >= 0 and len(frame) >= at + 42:
        right, lower, left, upper = unpack_from(">4I", frame, at + 8)
        return lower - upper, right - left, unpack_from(">H", frame, at + 40)[0]
    for marker, start, end in _segments(frame):
        if marker in SIZES_OF_JPEG and end - start >= 10:
            rows, columns, samples = unpack_from(">HHB", frame, start + 5)
            return rows, columns, samples
    return None


def coded_bits(frame: bytes) -> int | None:
    """Bits of each sample of a JPEG or JPEG-LS codestream; None where they cannot be found."""
    sizes = (start for marker, start, _ in _segments(frame) if marker in SIZES_OF_JPEG)
    return next((frame[start + 4] for start in sizes if start + 4 < len(frame)), None)


def without_adobe(frame: bytes) -> bytes:
    """A JPEG frame without Adobe's marker of its colours.

    Pillow obeys the marker and turns YBR into RGB; pydicom, which goes by the header, would do so once more.
    """
    for marker, start, end in _segments(frame):
        if marker == APPLICATION_14 and frame[start + 4 : start + 9] == b"Adobe":
            return frame[:start] + frame[end:]
    return frame


def has_end(frame: bytes) -> bool:
    """Whether a codestream has its end marker: CharLS looks for a missing one for ever."""
    return frame.rstrip(b"\0").endswith(END)


def _segments(frame: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment before a JPEG's scan, as (marker, first byte, byte after the last)."""
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] != START_OF_SCAN:
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte, of which any number may stand before a marker
            at += 1
            continue
        end = at + 2 + (0 if marker in WITHOUT_LENGTH else unpack_from(">H", frame, at + 2)[0])
        yield marker, at, end
        at = end
