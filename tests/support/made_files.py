"""Picture files put together byte by byte, with what Pillow cannot write: deep colours, significant bits, odd tags."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

PNG_GREY, PNG_COLOUR, PNG_GREY_ALPHA, PNG_COLOUR_ALPHA = 0, 2, 4, 6
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262  # tags of TIFF
OFFSET, ORIENTATION, SAMPLES, ROWS, BYTES, LARGEST = 273, 274, 277, 278, 279, 281
PLANAR, EXTRA, SUBFILE, SAMPLE_FORMAT = 284, 338, 254, 339


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: NDArray[Any], colour: int = PNG_GREY, *chunks: bytes, bits: int = 16) -> bytes:
    """A PNG file of (H, W) or (H, W, C), with other chunks before its pixels."""
    height, width = values.shape[:2]
    rows = values.astype(">u2" if bits == 16 else "u1")
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(*pages: tuple[NDArray[Any], Mapping[int, Sequence[int]]], order: str = "<") -> bytes:
    """A TIFF file.

    Args:
        pages: The values of each, (H, W) or (H, W, C), and tags beside or in place of those of a plain picture whose
            white is the largest value. Compression 8 packs the values.
        order: Of its bytes, `<` or `>`.
    """
    whole = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for number, (values, tags) in enumerate(pages):
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()
        known = _tags(values) | dict(tags)
        data = zlib.compress(data) if known[COMPRESSION] == [8] else data
        known |= {OFFSET: [0], BYTES: [len(data)]}
        whole += _directory(known, data, len(whole), order, last=number == len(pages) - 1)
    return whole


def _tags(values: NDArray[Any]) -> dict[int, Sequence[int]]:
    samples = values.shape[2] if values.ndim == 3 else 1
    return {
        WIDTH: [values.shape[1]],
        HEIGHT: [values.shape[0]],
        BITS: [8 * values.itemsize] * samples,
        COMPRESSION: [1],
        PHOTOMETRIC: [2 if samples >= 3 else 1],
        SAMPLES: [samples],
        ROWS: [values.shape[0]],
    }


def _directory(tags: Mapping[int, Sequence[int]], data: bytes, start: int, order: str, *, last: bool) -> bytes:
    """A page that begins at `start`: its table of tags, tags that do not fit into it, its values."""
    beside = start + 2 + 12 * len(tags) + 4
    where = beside + sum(4 * len(numbers) for numbers in tags.values() if len(numbers) > 1)
    table, outside = struct.pack(order + "H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *([where] if tag == OFFSET else numbers))
        table += struct.pack(order + "HHI", tag, 4, len(numbers))
        table += packed if len(numbers) == 1 else struct.pack(order + "I", beside + len(outside))
        outside += packed if len(numbers) > 1 else b""
    return table + struct.pack(order + "I", 0 if last else where + len(data)) + outside + data


def write(path: Path, content: bytes) -> Path:
    """The file, with this in it."""
    path.write_bytes(content)
    return path
