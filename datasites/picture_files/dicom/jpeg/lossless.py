"""JPEG without loss (process 14, every predictor): differences to neighbours, added up. Exact, like every decoder's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.dicom.jpeg.coded import LOSSLESS, NotThisJpeg, Scan, read_coded
from datasites.picture_files.dicom.jpeg.huffman import AHEAD, HuffmanTable, coded_values, sixteen_bits

_BYTES_AT_ONCE = 1 << 16
_HALF = 1 << 15  # the difference that needs no bits behind its code


def decode_lossless(stream: bytes) -> tuple[NDArray[np.uint16], int]:
    """The samples of a frame, (rows, columns, components), and how many bits they have.

    Raises:
        NotThisJpeg, ValueError: It is another kind of JPEG, cut short, or contradicts itself.
    """
    coded = read_coded(stream)
    if coded.process != LOSSLESS or not 2 <= coded.bits <= 16:
        raise NotThisJpeg("it is not of process 14")
    if any(component.sampling != (1, 1) for component in coded.components):
        raise NotThisJpeg("its components differ in size")
    shape = coded.rows, coded.columns, len(coded.components)
    samples = np.zeros(shape, dtype=np.uint16)
    missing = set(range(len(coded.components)))
    for scan in coded.scans:
        first = 1 << max(coded.bits - scan.shift - 1, 0)
        found = _samples(scan, coded.rows, coded.columns, first)
        for place, one in zip(scan.components, found, strict=True):
            samples[..., place] = one << scan.shift
            missing.discard(place)
    if missing:
        raise NotThisJpeg("a component has no scan")
    return samples, coded.bits


def _samples(scan: Scan, rows: int, columns: int, first: int) -> list[NDArray[np.int32]]:
    """Each component of a scan, int32, (rows, columns)."""
    if not 1 <= scan.start <= 7 or scan.interval % columns:  # its first parameter is the predictor
        raise NotThisJpeg("no predictor, or restarts within a row")
    in_part = scan.interval // columns or rows
    if len(scan.parts) != -(-rows // in_part):
        raise NotThisJpeg("it has another number of restarts than its rows say")
    found: list[NDArray[np.int32]] = []
    tables = [table for table, _ in scan.tables]
    for number, part in enumerate(scan.parts):
        height = min(in_part, rows - number * in_part)
        differences = _differences(part, tables, height * columns * len(tables))
        turns = [differences[at :: len(tables)].reshape(height, columns) for at in range(len(tables))]
        found.append(np.stack([_added_up(turn, scan.start, first) for turn in turns]))
    return list(np.concatenate(found, axis=1))


def _differences(part: bytes, tables: Sequence[HuffmanTable | None], count: int) -> NDArray[np.int32]:
    """The first `count` differences of a part, of its components in turn, int32, (count,)."""
    padded = np.frombuffer(part + bytes(AHEAD), dtype=np.uint8)
    known = [table for table in tables if table is not None]
    if len(known) != len(tables):
        raise NotThisJpeg("a table is missing")
    found = np.empty(count, dtype=np.int32)
    done = at = 0
    for first in range(0, len(part), _BYTES_AT_ONCE):
        size = min(_BYTES_AT_ONCE, len(part) - first)
        codes = sixteen_bits(padded, first, size)
        steps = [table.steps[codes].tobytes() for table in known]
        places, at = _followed(steps, done, count, at - 8 * first, 8 * size), at
        visited = np.array(places[:-1], dtype=np.int64) + 8 * first
        at = places[-1] + 8 * first
        for turn, table in enumerate(known):
            mine = slice((turn - done) % len(known), None, len(known))
            symbols, values = coded_values(padded, visited[mine], table)
            if len(symbols) and symbols.max() > 16:
                raise NotThisJpeg("a difference of more than 16 bits")
            found[done : done + len(visited)][mine] = np.where(symbols == 16, _HALF, values)
        done += len(visited)
    if done < count or at > 8 * len(part):
        raise NotThisJpeg("it is cut short")
    return found


def _followed(steps: Sequence[bytes], done: int, count: int, at: int, end: int) -> list[int]:
    """The bits that codes begin at, from `at` on, up to bit `end` or to `count` codes; and the bit after the last."""
    places: list[int] = []
    turns = len(steps)
    if turns == 1 or len(set(steps)) == 1:
        only = steps[0]
        for _ in range(count - done):
            if at >= end:
                break
            places.append(at)
            at += only[at]
    else:
        for turn in range(done, count):
            if at >= end:
                break
            places.append(at)
            at += steps[turn % turns][at]
    places.append(at)
    return places


def _added_up(of: NDArray[np.int32], predictor: int, first: int) -> NDArray[np.int32]:
    """Samples from their differences, both int32, (rows, columns), by ITU-T T.81's table H.1."""
    of = of.copy()
    of[0, 0] += first
    if predictor == 1:
        of[:, 0] = _sums(of[:, 0])
        return _sums(of, axis=1)
    if predictor in (2, 4):
        if predictor == 2:
            of[0] = _sums(of[0])
            return _sums(of)
        return _sums(_sums(of), axis=1)
    of[0] = _sums(of[0])
    for above, row in pairwise(of):
        row[0] += above[0]
        if predictor == 3:
            row[1:] += above[:-1]
        elif predictor == 5:
            row[1:] += (above[1:] - above[:-1]) >> 1
            row[:] = _sums(row)
        else:
            row[:] = _one_by_one(above.tolist(), row.tolist(), predictor)
        row &= 0xFFFF
    return of


def _sums(of: NDArray[np.int32], axis: int = 0) -> NDArray[np.int32]:
    return np.cumsum(of, axis=axis, dtype=np.int32) & 0xFFFF


def _one_by_one(above: list[int], row: list[int], predictor: int) -> list[int]:
    """A row by the predictors that halve what stands left."""
    left = row[0] & 0xFFFF
    made = [left]
    for at in range(1, len(row)):
        said = above[at] + ((left - above[at - 1]) >> 1) if predictor == 6 else (left + above[at]) >> 1
        left = (said + row[at]) & 0xFFFF
        made.append(left)
    return made
