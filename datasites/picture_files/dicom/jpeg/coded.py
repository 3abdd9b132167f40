"""A JPEG codestream's account of itself: its tables, its components, and where the coded values of each scan lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from struct import error, unpack_from

from datasites.picture_files.dicom.jpeg.huffman import HuffmanTable

EXTENDED, LOSSLESS = 0xC1, 0xC3  # start of frame, sequential with Huffman codes
_BASELINE = 0xC0
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_TABLES, _QUANTA, _INTERVAL, _SCAN, _END = 0xC4, 0xDB, 0xDD, 0xDA, 0xD9
_ANOTHER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


class NotThisJpeg(ValueError):
    """The codestream is none that is decoded here, or contradicts itself."""


@dataclass(frozen=True)
class Component:
    """A component of the frame: its number, how often it is sampled across and down, its table of quanta."""

    number: int
    sampling: tuple[int, int]
    quanta: int


@dataclass(frozen=True)
class Scan:
    """One scan.

    Attributes:
        components: Places of its components in the frame, in the order in which they are interleaved.
        tables: Each one's tables: of DC values or differences, and of AC values where the frame has them.
        start: Its first parameter, which is the predictor where nothing is lost.
        shift: How many low bits were dropped.
        interval: Units between two restarts; 0 where there is none.
        parts: The coded bytes between restarts.
    """

    components: tuple[int, ...]
    tables: tuple[tuple[HuffmanTable | None, HuffmanTable | None], ...]
    start: int
    shift: int
    interval: int
    parts: list[bytes]


@dataclass
class Coded:
    """A codestream's frame and scans."""

    process: int = 0
    bits: int = 0
    rows: int = 0
    columns: int = 0
    components: tuple[Component, ...] = ()
    quanta: dict[int, tuple[int, ...]] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)


def read_coded(stream: bytes) -> Coded:
    """Reads a codestream up to its end.

    Raises:
        NotThisJpeg: It lacks a frame, a table or a scan, has two frames, or is cut short.
    """
    try:
        return _read(stream)
    except (IndexError, error) as cut:
        raise NotThisJpeg("a segment is cut short") from cut


def _read(stream: bytes) -> Coded:
    coded, tables, interval = Coded(), dict[int, HuffmanTable](), 0
    for marker, body, after in _segments(stream):
        if marker == _TABLES:
            tables |= _huffman_tables(body)
        elif marker == _QUANTA:
            coded.quanta |= _quanta(body)
        elif marker == _INTERVAL:
            interval = unpack_from(">H", body)[0]
        elif marker in _FRAMES:
            if coded.process:
                raise NotThisJpeg("two frames")
            coded.process = EXTENDED if marker == _BASELINE else marker
            coded.bits, coded.rows, coded.columns, count = unpack_from(">BHHB", body)
            coded.components = tuple(
                Component(body[at], divmod(body[at + 1], 16), body[at + 2]) for at in range(6, 6 + 3 * count, 3)
            )
        elif marker == _SCAN:
            coded.scans.append(_scan(coded, tables, interval, body, stream[after:]))
    if not coded.scans or not coded.rows or not coded.columns:
        raise NotThisJpeg("no frame, no scan or no size")
    return coded


def _segments(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each segment as (marker, what follows its length, the byte after it); coded values are stepped over."""
    if stream[:2] != b"\xff\xd8":
        raise NotThisJpeg("it does not begin as one")
    at = 2
    while found := _ANOTHER.search(stream, at):
        marker, at = stream[found.start() + 1], found.start() + 2
        if marker == 0xFF:  # a fill byte
            at -= 1
            continue
        if marker == _END:
            return
        length = unpack_from(">H", stream, at)[0]
        if length < 2 or at + length > len(stream):
            raise NotThisJpeg("a segment is cut short")
        yield marker, stream[at + 2 : at + length], at + length
        at += length


def _huffman_tables(body: bytes) -> Iterator[tuple[int, HuffmanTable]]:
    at = 0
    while at < len(body):
        counts = body[at + 1 : at + 17]
        symbols = body[at + 17 : at + 17 + sum(counts)]
        yield body[at], _huffman_table(counts, symbols)
        at += 17 + len(symbols)


@lru_cache(maxsize=64)  # most files have those of the standard
def _huffman_table(counts: bytes, symbols: bytes) -> HuffmanTable:
    return HuffmanTable(counts, symbols)


def _quanta(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at < len(body):
        wide, number = divmod(body[at], 16)
        yield number, unpack_from(">64H" if wide else ">64B", body, at + 1)
        at += 129 if wide else 65


def _scan(coded: Coded, tables: dict[int, HuffmanTable], interval: int, body: bytes, rest: bytes) -> Scan:
    places = {component.number: place for place, component in enumerate(coded.components)}
    count = body[0]
    named = [(body[at], *divmod(body[at + 1], 16)) for at in range(1, 1 + 2 * count, 2)]
    if not named or any(number not in places for number, _, _ in named):
        raise NotThisJpeg("a scan of other components than the frame's")
    another = _ANOTHER.search(rest)
    if another is None:
        raise NotThisJpeg("its end is missing")
    start, _, lowest = body[1 + 2 * count : 4 + 2 * count]
    return Scan(
        tuple(places[number] for number, _, _ in named),
        tuple((tables.get(first), tables.get(0x10 | second)) for _, first, second in named),
        start,
        lowest & 15,
        interval,
        [part.replace(b"\xff\0", b"\xff") for part in _RESTART.split(rest[: another.start()])],
    )
