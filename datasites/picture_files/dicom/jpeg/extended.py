"""JPEG Extended (process 2 and 4) of one grey component: up to 12 bits, of which Pillow reads 8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.dicom.jpeg.coded import EXTENDED, NotThisJpeg, Scan, read_coded
from datasites.picture_files.dicom.jpeg.huffman import AHEAD, HuffmanTable, coded_values, sixteen_bits

_BYTES_AT_ONCE = 1 << 16
_SIDE, _PLACES = 8, 64
# The order in which a block's coefficients stand: along its diagonals, from corner to corner.
_DIAGONALS = sorted(
    range(_PLACES), key=lambda at: (sum(divmod(at, _SIDE)), divmod(at, _SIDE)[sum(divmod(at, _SIDE)) % 2 == 0])
)


def decode_extended(stream: bytes) -> tuple[NDArray[np.uint16], int]:
    """The samples of a frame, (rows, columns, 1), and how many bits they have.

    Raises:
        NotThisJpeg, ValueError: It is another kind of JPEG or in colour, cut short, or contradicts itself.
    """
    coded = read_coded(stream)
    if coded.process != EXTENDED or coded.bits not in (8, 12) or len(coded.components) != 1 or len(coded.scans) != 1:
        raise NotThisJpeg("it is not of process 2 or 4 with one component")
    quanta = coded.quanta.get(coded.components[0].quanta)
    scan = coded.scans[0]
    if quanta is None:
        raise NotThisJpeg("no table of quanta")
    down, across = -(-coded.rows // _SIDE), -(-coded.columns // _SIDE)
    blocks = _coefficients(scan, down * across) * np.array(quanta, dtype=np.float32)
    placed = np.empty_like(blocks)
    placed[:, _DIAGONALS] = blocks
    cosines = _cosines()
    shown = cosines.T @ placed.reshape(-1, _SIDE, _SIDE) @ cosines + (1 << (coded.bits - 1))
    whole = np.clip(np.rint(shown), 0, (1 << coded.bits) - 1).astype(np.uint16)
    picture = whole.reshape(down, across, _SIDE, _SIDE).swapaxes(1, 2).reshape(down * _SIDE, across * _SIDE)
    return picture[: coded.rows, : coded.columns, None], coded.bits


def _cosines() -> NDArray[np.float32]:
    """(frequency, place): the cosine transform of eight values."""
    frequency, place = np.mgrid[:_SIDE, :_SIDE]
    matrix = 0.5 * np.cos((2 * place + 1) * frequency * np.pi / (2 * _SIDE))
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def _coefficients(scan: Scan, count: int) -> NDArray[np.float32]:
    """Coefficients of each block, in the order of the codestream, (count, 64)."""
    first, others = scan.tables[0]
    if first is None or others is None:
        raise NotThisJpeg("a table is missing")
    in_part = scan.interval or count
    if len(scan.parts) != -(-count // in_part):
        raise NotThisJpeg("it has another number of restarts than its blocks say")
    found = np.zeros((count, _PLACES), dtype=np.float32)
    for number, part in enumerate(scan.parts):
        _fill(found[number * in_part : (number + 1) * in_part], part, first, others)
    return found


def _fill(blocks: NDArray[np.float32], part: bytes, first: HuffmanTable, others: HuffmanTable) -> None:
    """Reads one part into its blocks, (N, 64)."""
    padded = np.frombuffer(part + bytes(AHEAD), dtype=np.uint8)
    walk = _Walk(len(blocks))
    for begin in range(0, len(part), _BYTES_AT_ONCE):
        size = min(_BYTES_AT_ONCE, len(part) - begin)
        codes = sixteen_bits(padded, begin, size)
        runs = (others.symbols >> 4) + 1
        runs[others.symbols == 0] = _PLACES  # the end of the block
        walk.follow(first.steps[codes].tobytes(), others.steps[codes].tobytes(), runs[codes].tobytes(), begin * 8)
        _take(blocks, padded, walk, first, others)
    if walk.block < len(blocks) or walk.at > 8 * len(part):
        raise NotThisJpeg("it is cut short")
    blocks[:, 0] = np.cumsum(blocks[:, 0].astype(np.int32), dtype=np.int32)


def _take(
    blocks: NDArray[np.float32], padded: NDArray[np.uint8], walk: _Walk, first: HuffmanTable, others: HuffmanTable
) -> None:
    """Puts what stands at the codes of `walk` into the blocks, and forgets the codes."""
    symbols, values = coded_values(padded, np.array(walk.first, dtype=np.int64), first)
    if len(symbols) and symbols.max() > 15:
        raise NotThisJpeg("a first coefficient of too many bits")
    blocks[walk.begun : walk.begun + len(values), 0] = values
    walk.begun += len(values)
    symbols, values = coded_values(padded, np.array(walk.others, dtype=np.int64), others)
    run, says = symbols >> 4, symbols & 15 != 0
    where = np.array(walk.places, dtype=np.int64) + run
    if (where[says] % _PLACES < run[says]).any():
        raise NotThisJpeg("a block of more than 64 coefficients")
    blocks.reshape(-1)[where[says]] = values[says]
    for one in (walk.first, walk.others, walk.places):
        one.clear()


class _Walk:
    """Where the codes of a part begin, block by block.

    Attributes:
        at: The bit of the next code.
        block: How many blocks are done.
        begun: How many blocks' first codes were taken.
        first: Bits that blocks' first codes begin at.
        others: Bits that their other codes begin at.
        places: For each of these, the place in all blocks that it goes on from.
    """

    def __init__(self, count: int) -> None:
        self.at = self.block = self.begun = 0
        self.first: list[int] = []
        self.others: list[int] = []
        self.places: list[int] = []
        self._count, self._place = count, 0

    def follow(self, first: bytes, others: bytes, runs: bytes, begin: int) -> None:
        """Goes on through bytes whose first bit is bit `begin` of the part."""
        at, place, block, end = self.at - begin, self._place, self.block, len(first)
        while block < self._count and at < end:
            if not place:
                self.first.append(at + begin)
                at += first[at]
                place = 1
                continue
            self.others.append(at + begin)
            self.places.append(block * _PLACES + place)
            place += runs[at]
            at += others[at]
            if place >= _PLACES:
                place, block = 0, block + 1
        self.at, self._place, self.block = at + begin, place, block
