"""Tables from a value to a value, as modality and VOI lookup tables and palettes hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasites.picture_files.dicom.elements import numbers, value
from datasites.picture_files.dicom.reasons import LOOKUP_TABLE
from datasites.picture_files.picture_refused import PictureRefused


@dataclass(frozen=True)
class Descriptor:
    """How many entries a table has, which value the first is for, and how many bits an entry has."""

    entries: int
    first: int
    bits: int

    @property
    def peak(self) -> int:
        """The largest value that an entry can hold."""
        return (1 << self.bits) - 1


def descriptor(dataset: Dataset, keyword: str, *, signed: bool) -> Descriptor:
    """Reads a descriptor of three numbers; 0 entries are 65,536.

    Args:
        dataset: What holds it.
        keyword: Its name.
        signed: Whether the values that are looked up may be negative, so that the first may be too.

    Raises:
        PictureRefused: It is missing or holds what no table has.
    """
    read = numbers(dataset, keyword)
    if len(read) != 3 or any(one != int(one) for one in read):
        raise PictureRefused(LOOKUP_TABLE, private=f"the element is {keyword}")
    entries, first, bits = (int(one) for one in read)
    if not 0 <= entries <= 1 << 16 or not -(1 << 15) <= first < 1 << 16 or not 8 <= bits <= 16:
        raise PictureRefused(LOOKUP_TABLE, private=f"the element is {keyword}")
    if signed and first >= 1 << 15:  # written as an unsigned number of 16 bits
        first -= 1 << 16
    return Descriptor(entries or 1 << 16, first, bits)


def entries(dataset: Dataset, keyword: str, of: Descriptor, *, little_endian: bool) -> NDArray[np.uint16]:
    """The entries of a table, (entries,), of 8 or 16 bits each as the length says.

    Raises:
        PictureRefused: There are too few or too many, or one is larger than the descriptor allows.
    """
    read = words(value(dataset, keyword), of, little_endian)
    if len(read) != of.entries or int(read.max(initial=0)) > of.peak:
        raise PictureRefused(LOOKUP_TABLE, private=f"the element is {keyword}")
    return read


def refuse_dark(of: Descriptor, *tables: NDArray[np.uint16]) -> None:
    """Refuses tables that use less than a sixteenth of the bits that they are said to have: 8 in 16, or 12.

    Raises:
        PictureRefused: What is white is in doubt.
    """
    peak = max(int(table.max(initial=0)) for table in tables)
    if of.bits > 8 and 0 < peak <= of.peak >> 4:
        raise PictureRefused(LOOKUP_TABLE, private="its entries use less than a sixteenth of their bits")


def words(found: Any, of: Descriptor, little_endian: bool, *, in_segments: bool = False) -> NDArray[np.uint16]:
    """The numbers of 8 or 16 bits that a table's data holds, (n,); those of 8 fill the words of 16 in pairs.

    Args:
        found: Bytes, or numbers that pydicom has read.
        of: The table's descriptor.
        little_endian: How the file writes numbers of two bytes.
        in_segments: Whether it is a table in segments, whose length says nothing of the width.
    """
    if found is None:
        raise PictureRefused(LOOKUP_TABLE)
    if isinstance(found, bytes):
        if of.bits == 8 and (in_segments or len(found) == of.entries + of.entries % 2):
            return _bytes(found, little_endian)[: None if in_segments else of.entries].astype(np.uint16)
        return np.frombuffer(found[: len(found) // 2 * 2], "<u2" if little_endian else ">u2").astype(np.uint16)
    several = found if isinstance(found, Sequence) else [found]
    try:
        read = np.asarray(several, np.int64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise PictureRefused(LOOKUP_TABLE) from error
    return (read & 0xFFFF).astype(np.uint16)


def _bytes(found: bytes, little_endian: bool) -> NDArray[np.uint8]:
    """Entries of 8 bits, which lie two in a word of 16: the first in its low byte."""
    pairs = np.frombuffer(found, np.uint8)
    return pairs if little_endian else pairs.reshape(-1, 2)[:, ::-1].reshape(-1)


def looked_up(
    values: NDArray[np.float64] | NDArray[np.int64], of: Descriptor, table: NDArray[Any]
) -> NDArray[np.float64]:
    """The table's entry for each value, in the values' shape: the first for all below it, the last for all above it."""
    nearest = np.floor(values + 0.5) if values.dtype.kind == "f" else values
    places = np.clip(nearest - of.first, 0, of.entries - 1).astype(np.int64)
    found: NDArray[np.float64] = table[places]
    return found
