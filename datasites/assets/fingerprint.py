"""Names of pictures and rows by their content. They are private: they recognise a copy of a hospital's data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.read_rows import blocks

DIGEST_BYTES = 32


def picture_digest(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """SHA-256 of a picture's shape and pixels, (H, W, C), each number little-endian."""
    digest = hashlib.sha256(np.asarray(image.shape, dtype="<u4").tobytes())
    digest.update(np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<")).data)
    return digest.digest()


def fingerprint_of(digests: NDArray[np.uint8]) -> str:
    """The fingerprint of pictures, from each one's `picture_digest`: uint8, (N, 32)."""
    return hashlib.sha256(b"".join(sorted(digest.tobytes() for digest in digests))).hexdigest()


def fingerprint(images: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
    """Names a set of pictures by its content, whatever their order, labels, file names or dataset name.

    It is the SHA-256 of the sorted SHA-256 of each picture's shape and pixels. A single changed or missing picture
    changes it, so it recognises a copy, not an overlap.

    Args:
        images: uint8 or uint16, (N, H, W, C); read from their file where they are mapped.

    Raises:
        StorageUnavailable, StoreBroken: As `datasites.assets.read_rows.blocks`.
    """
    digests = b"".join(sorted(picture_digest(image) for block in blocks(images) for image in block))
    return hashlib.sha256(digests).hexdigest()


class RowsDigest:
    """SHA-256 of rows, array after array, as they come: so that none has to be in memory whole."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, rows: NDArray[Any]) -> None:
        """Adds the rows that come next, (n, ...), little-endian."""
        self._hash.update(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).tobytes())

    def hexdigest(self) -> str:
        """The digest of all rows that were added."""
        return self._hash.hexdigest()


def rows_digest(arrays: Iterable[NDArray[Any] | None]) -> str:
    """SHA-256 of what belongs to the rows, in their order: labels, units, and of what follows that which is there.

    Args:
        arrays: As `datasites.assets.store.ROWS` names them, (N, ...) each; a missing one is None. Read from their files
            where they are mapped.

    Raises:
        StorageUnavailable, StoreBroken: As `datasites.assets.read_rows.blocks`.
    """
    digest = RowsDigest()
    for array in arrays:
        if array is not None:
            for rows in blocks(array):
                digest.add(rows)
    return digest.hexdigest()
