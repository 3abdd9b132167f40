"""Writes JPEG codestreams whose right samples are what a test put in: without loss, and of blocks in 12 bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack

import numpy as np
from numpy.typing import NDArray


def lossless(
    samples: NDArray[np.int64],
    bits: int,
    *,
    predictor: int = 1,
    shift: int = 0,
    rows_between: int = 0,
    apart: bool = False,
) -> bytes:
    """A frame of process 14.

    Args:
        samples: (rows, columns, components), without their lowest `shift` bits.
        bits: Of each sample.
        predictor: 1 to 7.
        shift: How many low bits are dropped.
        rows_between: Rows between two restarts; 0 for none.
        apart: A scan for each component rather than one for all.
    """
    rows, columns, count = samples.shape
    numbers = range(1, count + 1)
    frame = pack(">BHHB", bits, rows, columns, count) + b"".join(bytes([number, 0x11, 0]) for number in numbers)
    out = b"\xff\xd8" + segment(0xC3, frame)
    # Codes of two tables: five bits for each size, in this order and in the other.
    out += segment(0xC4, b"".join(bytes([table]) + _counts(17) + bytes(_sizes(table)) for table in (0, 1)))
    out += segment(0xDD, pack(">H", rows_between * columns)) if rows_between else b""
    for members in [[place] for place in range(count)] if apart else [list(range(count))]:
        named = b"".join(bytes([numbers[place], place % 2 << 4]) for place in members)
        out += segment(0xDA, bytes([len(members)]) + named + bytes([predictor, 0, shift]))
        step = rows_between or rows
        parts = [
            _part(samples[at : at + step, :, members] >> shift, members, predictor, bits - shift)
            for at in range(0, rows, step)
        ]
        out += b"".join(part + b"\xff" + bytes([0xD0 + number % 8]) for number, part in enumerate(parts[:-1]))
        out += parts[-1]
    return out + b"\xff\xd9"


def blocks(first: Sequence[int], others: Sequence[dict[int, int]], size: tuple[int, int], quantum: int = 8) -> bytes:
    """A frame of process 4 in 12 bits.

    Args:
        first: What each block's first coefficient adds to the one before.
        others: Each block's other coefficients, by their place along the diagonals.
        size: (rows, columns).
        quantum: What all coefficients are multiplied by.
    """
    out = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([quantum]) * 64)
    out += segment(0xC1, pack(">BHHB", 12, *size, 1) + bytes([1, 0x11, 0]))
    of_others = [*(run << 4 | width for run in range(16) for width in range(1, 15)), 0xF0, 0]
    out += segment(0xC4, b"\0" + _counts(17) + bytes(_sizes(0)))
    out += segment(0xC4, b"\x10" + bytes([0] * 7 + [len(of_others)] + [0] * 8) + bytes(of_others))
    out += segment(0xDA, bytes([1, 1, 0, 0, 63, 0]))
    coded: list[str] = []
    for start, rest in zip(first, others, strict=True):
        coded.append(_value(start, 0))
        before = 0
        for place, value in sorted(rest.items()):
            zeros = place - before - 1
            coded += [f"{of_others.index(0xF0):08b}"] * (zeros // 16)
            width = abs(value).bit_length()
            coded.append(f"{of_others.index(zeros % 16 << 4 | width):08b}" + _behind(value, width))
            before = place
        coded += [f"{of_others.index(0):08b}"] if before < 63 else []
    return out + _stuffed(coded) + b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    """A marker with its segment."""
    return bytes([0xFF, marker]) + pack(">H", len(body) + 2) + body


def _counts(codes: int) -> bytes:
    return bytes([0, 0, 0, 0, codes] + [0] * 11)


def _sizes(table: int) -> range:
    return range(16, -1, -1) if table else range(17)


def _part(samples: NDArray[np.int64], members: Sequence[int], predictor: int, bits: int) -> bytes:
    coded = []
    rows, columns, _ = samples.shape
    for row in range(rows):
        for column in range(columns):
            for at, member in enumerate(members):
                plane = samples[:, :, at]
                if row == column == 0:
                    said = 1 << (bits - 1)
                elif row == 0:
                    said = plane[0, column - 1]
                elif column == 0:
                    said = plane[row - 1, 0]
                else:
                    said = _said(plane[row, column - 1], plane[row - 1, column], plane[row - 1, column - 1], predictor)
                coded.append(_value(int(plane[row, column]) - int(said), member % 2))
    return _stuffed(coded)


def _said(left: int, above: int, corner: int, predictor: int) -> int:
    """ITU-T T.81, table H.1."""
    return (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )[predictor - 1]


def _value(difference: int, table: int) -> str:
    difference = (difference + 0x7FFF) % 0x10000 - 0x7FFF  # -32767 to 32768
    width = abs(difference).bit_length()
    return f"{list(_sizes(table)).index(width):05b}" + ("" if width == 16 else _behind(difference, width))


def _behind(value: int, width: int) -> str:
    return f"{value if value > 0 else value + (1 << width) - 1:0{width}b}" if width else ""


def _stuffed(coded: Iterable[str]) -> bytes:
    bits = "".join(coded)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0") if bits else b""
