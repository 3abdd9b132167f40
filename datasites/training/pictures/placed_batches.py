"""Batches in which no picture's place hangs on another picture. Nothing of them crosses the hospital's boundary."""

from __future__ import annotations

import zlib

import numpy as np


def placed_batches(
    images: np.ndarray, chosen: np.ndarray, slots: int, *, texts: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits the chosen pictures into batches of pictures and their places in it.

    Rounding differs with the size of a batch and the place in it. So every batch has one size, and a picture's place
    follows from its own bytes and its report's: what the others are cannot change its answer.

    Args:
        images: (N, ...), of any kind.
        chosen: int64, (M,), indices of pictures.
        slots: How many places a batch has, taken or not.
        texts: What belongs to each picture, (N, ...), or None.

    Returns:
        Of each batch: int64, (B,), indices of pictures, and int64, (B,), their places, 0 to slots - 1.
    """

    def place(row: int) -> int:
        written = b"" if texts is None else texts[row].tobytes()
        return zlib.crc32(written, zlib.crc32(images[row].tobytes())) % slots

    places = np.array([place(row) for row in chosen], dtype=np.int64)
    by_place = np.argsort(places, kind="stable")
    taken = np.bincount(places, minlength=slots)
    turn = np.empty_like(places)
    turn[by_place] = np.arange(len(chosen)) - np.repeat(np.cumsum(taken) - taken, taken)
    by_turn = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))
    return [(chosen[part], places[part]) for part in np.split(by_turn, ends[:-1])]
