"""Reads one picture into its row of a file: what each reading process does. It is told paths, and tells digests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import picture_digest
from datasites.ingestion.reasons import CHANGED, DECODER_FAILED
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import NOT_A_FILE
from datasites.sources.file_picture import FilePicture
from datasites.sources.listing import Picture
from policies.plans.picture_form import PictureForm

NOWHERE = -1
MOST_ENLARGED = 2
_MOST_PRIVATE = 300
_LOOKED_AT = 16  # values of a picture before all of them
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True)
class Target:
    """Where pictures go.

    Attributes:
        form: How files become pictures; None reads no pixels, only what tells a file.
        file: Of the rows; empty where none is written.
        offset: Bytes before the first row.
    """

    form: PictureForm | None
    file: str = ""
    offset: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of each picture."""
        if self.form is None:
            return 0, 0, 0
        return (*self.form.size, self.form.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of each value."""
        return np.dtype("<u2" if self.form is not None and self.form.store_bits == 16 else "u1")

    @property
    def row_bytes(self) -> int:
        """Bytes of a picture."""
        height, width, channels = self.shape
        return height * width * channels * self.dtype.itemsize

    def at(self, row: int) -> int:
        """Where a row begins in the file."""
        return self.offset + row * self.row_bytes


class Known(NamedTuple):
    """What an earlier ingest noted of a picture that it read: nothing, if there was none.

    Attributes:
        stamp: Of the file, when it was read.
        source: Digest of what it was read from, hexadecimal.
        pixels: `picture_digest`, hexadecimal.
        empty: Whether all pixels have one value.
        enlarged: Whether it was made more than `MOST_ENLARGED` times as large, where somebody looked.
    """

    stamp: tuple[int, ...]
    source: str
    pixels: str
    empty: bool
    enlarged: bool = False

    @classmethod
    def of(cls, values: Sequence[Any]) -> Known:
        """Reads what JSON holds of it.

        Raises:
            ValueError, TypeError: Not that.
        """
        stamp, source, pixels, empty, enlarged = values
        return cls(tuple(stamp), source, pixels, empty, enlarged)


class Task(NamedTuple):
    """One picture to read.

    Attributes:
        number: Its place in the listing.
        picture: Where it is.
        row: Where its pixels go; `NOWHERE` keeps none.
        known: What its row holds already, if its file is the same.
        is_measured: Whether its own size is looked at, which takes reading its header once more.
    """

    number: int
    picture: Picture
    row: int = NOWHERE
    known: Known | None = None
    is_measured: bool = False


class Reading(NamedTuple):
    """What became of one picture.

    Attributes:
        number: Its place in the listing.
        found: What was read; None where it was not taken.
        kept: Whether that was there from before.
        reason: Why it was not taken.
        private: Of that, what only the hospital may see.
        disk: What the system said when its pixels could not be written.
    """

    number: int
    found: Known | None = None
    kept: bool = False
    reason: Reason | None = None
    private: str = ""
    disk: str = ""

    def to_line(self) -> bytes:
        """One line of JSON: what comes out of a process that has read hostile files is never unpickled."""
        why = self.reason and (self.reason.code, self.reason.means, self.reason.advice)
        return _ENCODER.encode((self.number, self.found, self.kept, why, self.private, self.disk)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Reading:
        """Reads what `to_line` gives.

        Raises:
            ValueError, TypeError: Not that.
        """
        index, known, kept, why, private, disk = json.loads(line)
        found = None if known is None else Known.of(known)
        return cls(index, found, kept, None if why is None else Reason(*why), private, disk)


def read_picture(task: Task, target: Target, file: int) -> Reading:
    """Reads a picture and writes it into its row, unless it is there already.

    Args:
        task: Which picture, and its row.
        target: What a row is.
        file: The open file of the rows.

    Returns:
        What became of it; whatever is wrong with it is a reason.
    """
    picture, known = task.picture, task.known
    try:
        stamp = picture.stamp()
        if known is not None and known.stamp == stamp and _row_digest(task.row, target, file) == known.pixels:
            return Reading(task.number, known, kept=True)
        if isinstance(picture, FilePicture):
            picture = picture.read_once()
        source = picture.digest()
        pixels = None if target.form is None else picture.pixels(target.form)
        enlarged = task.is_measured and _is_enlarged(picture.own_size(), target)
        if picture.stamp() != stamp:
            raise PictureRefused(CHANGED)
    except PictureRefused as error:
        return Reading(task.number, reason=error.reason, private=error.private[:_MOST_PRIVATE])
    except OSError as error:
        return Reading(task.number, reason=NOT_A_FILE, private=str(error)[:_MOST_PRIVATE])
    except Exception as error:  # noqa: BLE001 - one file's, whatever a decoder raises: it is named and left out
        return Reading(task.number, reason=DECODER_FAILED, private=f"{type(error).__name__}: {error}"[:_MOST_PRIVATE])
    if pixels is None:
        return Reading(task.number, Known(stamp, source.hex(), "", empty=False))
    reading = _written(task, target, file, pixels, stamp, source)
    return reading._replace(found=reading.found._replace(enlarged=True)) if enlarged and reading.found else reading


def _written(
    task: Task,
    target: Target,
    file: int,
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    stamp: tuple[int, ...],
    source: bytes,
) -> Reading:
    if pixels.shape != target.shape or pixels.dtype != target.dtype:
        told = f"{pixels.dtype} {pixels.shape}, expected {target.dtype} {target.shape}"
        return Reading(task.number, reason=DECODER_FAILED, private=told)
    whole: NDArray[np.uint8] | NDArray[np.uint16] = np.require(pixels, requirements="C")
    values = whole.reshape(-1)
    if task.row != NOWHERE:
        try:
            write_at(file, values.view(np.uint8).data, target.at(task.row))
        except OSError as error:
            return Reading(task.number, disk=str(error)[:_MOST_PRIVATE])
    digest = picture_digest(whole).hex()
    return Reading(task.number, Known(stamp, source.hex(), digest, _is_empty(values)))


def _is_enlarged(own: tuple[int, int], target: Target) -> bool:
    """Whether a side of what is kept is more than `MOST_ENLARGED` times as long as the picture's own."""
    return any(kept > MOST_ENLARGED * side for kept, side in zip(target.shape[:2], own, strict=True))


def _is_empty(values: NDArray[np.uint8] | NDArray[np.uint16]) -> bool:
    """Whether all values are one; of nearly all pictures a few of them tell that they are not."""
    first = values.item(0)
    few = values[:: max(1, len(values) // _LOOKED_AT)].tolist()
    return few.count(first) == len(few) and bool((values == first).all())


def write_at(file: int, content: memoryview, offset: int) -> None:
    """Writes all of the content at a place of a file."""
    while content:
        done = os.pwrite(file, content, offset)
        content, offset = content[done:], offset + done


def _row_digest(row: int, target: Target, file: int) -> str:
    """`picture_digest` of what a row holds; empty where the file does not reach there."""
    content = os.pread(file, target.row_bytes, target.at(row))
    if len(content) != target.row_bytes:
        return ""
    return picture_digest(np.frombuffer(content, target.dtype).reshape(target.shape)).hex()
