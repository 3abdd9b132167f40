"""Coded values of a JPEG file: whether they are whole from the first to the last.

libjpeg counts what it cannot make sense of as warnings, shows something in its place, and Pillow tells nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.dicom.jpeg.coded import EXTENDED, Coded, Scan, read_coded
from datasites.picture_files.dicom.jpeg.huffman import AHEAD, HuffmanTable, sixteen_bits

_BYTES_AT_ONCE = 1 << 14
_MOST_OF_A_BLOCK = 256  # bytes: 64 codes of 16 bits, each with 15 bits behind it
_SIDE, _PLACES = 8, 64
_END_OF_BLOCK, _NO_CODE = 100, 200  # more places than a block has: each ends it, and differs from all else
_SIXTEEN_ZEROS = 0xF0
_Kind = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def has_broken_codes(content: bytes) -> bool:
    """Whether bits of a JPEG's coded values were changed, as far as its codes tell: one that is none, a block of more
    than 64 coefficients, or blocks that end before or after the bytes that hold them.

    A bit of a value, and not of a code, leaves them whole. Progressive files and those of arithmetic codes are not
    looked at, nor are files that contradict themselves otherwise, which their decoder refuses.

    Args:
        content: The file's bytes, or a codestream's.
    """
    try:
        coded = read_coded(content)
    except ValueError:
        return False
    return coded.process == EXTENDED and any(not _is_whole(coded, scan) for scan in coded.scans)


def _is_whole(coded: Coded, scan: Scan) -> bool:
    units, counts = _units(coded, scan)
    in_part = scan.interval or units
    parts = scan.parts[:-1] if len(scan.parts) > 1 and not scan.parts[-1] else scan.parts
    if len(parts) != -(-units // in_part):
        return False
    kinds = list[_Kind]()
    for first, others in scan.tables:
        if first is None or others is None:
            return True  # none of its own: those that are meant are known elsewhere
        kinds.append((first.steps, others.steps, _places(others)))
    turns = [place for place, count in enumerate(counts) for _ in range(count)]
    return all(
        _fills(part, min(in_part, units - number * in_part) * len(turns), kinds, turns)
        for number, part in enumerate(parts)
    )


def _units(coded: Coded, scan: Scan) -> tuple[int, list[int]]:
    """(how many units the scan has, how many blocks of each of its components are in one)."""
    across, down = (max(one.sampling[axis] for one in coded.components) for axis in range(2))
    if len(scan.components) > 1:
        units = -(-coded.columns // (_SIDE * across)) * -(-coded.rows // (_SIDE * down))
        return units, [int(np.prod(coded.components[one].sampling)) for one in scan.components]
    own = coded.components[scan.components[0]].sampling
    wide, high = -(-coded.columns * own[0] // across), -(-coded.rows * own[1] // down)
    return -(-wide // _SIDE) * -(-high // _SIDE), [1]


def _fills(part: bytes, blocks: int, kinds: Sequence[_Kind], turns: Sequence[int]) -> bool:
    """Whether so many blocks, whose kinds take turns, end where the bytes of a part do."""
    at = turn = 0  # at is a bit, from the first of the bytes that are looked at
    for codes, end in _looked_up(part, kinds, turns):
        while blocks and at < end:
            first, others, places = codes[turn]
            if not first[at]:
                return False
            at += first[at]
            place = 1
            while place < _PLACES:
                place += places[at]
                at += others[at]
            if place != _PLACES and not _END_OF_BLOCK < place < _NO_CODE:
                return False
            turn = (turn + 1) % len(turns)
            blocks -= 1
        at -= end
    rest = part[len(part) - max(0, -at // 8) :]
    return not blocks and at <= 0 and len(set(rest)) < 2  # some cameras fill up with zeros


def _looked_up(
    part: bytes, kinds: Sequence[_Kind], turns: Sequence[int]
) -> Iterator[tuple[list[tuple[bytes, bytes, bytes]], int]]:
    """What the kind of each turn has at each bit of some of a part's bytes, and how many bits these bytes have."""
    padded = np.frombuffer(part + bytes(_MOST_OF_A_BLOCK + AHEAD), dtype=np.uint8)
    for begin in range(0, len(part), _BYTES_AT_ONCE):
        size = min(_BYTES_AT_ONCE, len(part) - begin)
        bits = sixteen_bits(padded, begin, size + _MOST_OF_A_BLOCK).astype(np.intp)
        seen = [
            (first[bits].tobytes(), others[bits].tobytes(), places[bits].tobytes()) for first, others, places in kinds
        ]
        yield [seen[turn] for turn in turns], 8 * size


@lru_cache(maxsize=64)
def _places(table: HuffmanTable) -> NDArray[np.uint8]:
    """How many places a block goes on by what 16 bits begin with."""
    places: NDArray[np.uint8] = np.add(table.symbols >> 4, 1, dtype=np.uint8)
    places[(table.symbols & 15 == 0) & (table.symbols != _SIXTEEN_ZEROS)] = _END_OF_BLOCK
    places[table.lengths == 0] = _NO_CODE
    return places
