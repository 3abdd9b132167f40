"""The private folder in which pictures gather until a store is published, so that a kill costs little. It stays inside.

It holds the rows of pixels and a journal of what was read: of each picture a digest of its place, its file's stamp, its
row and its digests. Whoever goes on compares the row itself with the journal before trusting it, so what a kill or a
crash of the machine left of either does no harm.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.store import IMAGES
from datasites.ingestion.picture_reading import Known, Target, Task, write_at
from datasites.ingestion.random_order import random_order
from datasites.sources.listing import ListedPicture
from policies.plans.picture_form import PictureForm

HEADER_BYTES = 192  # before the first row, for an array of any number of pictures
_ENCODER = json.JSONEncoder(separators=(",", ":"))
JOURNAL, LOG = "journal.jsonl", "decoders.log"
_MEASURED = 500  # so many pictures at least, or all, have their own size looked at


class WorkFolder:
    """Rows of pixels that are being written, and what is known of them.

    Attributes:
        form: How pictures are read.
        target: Where rows lie.
        rows: int64, (N,): the row of each picture of the listing, once the folder is open.
        log: Where decoders' words go.
    """

    def __init__(self, folder: Path, form: PictureForm, pictures: Sequence[ListedPicture]) -> None:
        self._folder, self.form = folder, form
        self.target = Target(form, str(folder / f"{IMAGES}.npy"), HEADER_BYTES)
        self.log = folder / LOG
        self._pictures = pictures
        self._places = [_place(listed) for listed in pictures]
        self.rows = np.full(len(pictures), -1, dtype=np.int64)

    @property
    def images(self) -> Path:
        """The file of the rows."""
        return Path(self.target.file)

    @contextmanager
    def opened(self) -> Iterator[list[Task]]:
        """Opens the folder, made anew unless it holds pictures of the same form; gives the tasks of all pictures.

        Each picture has a row. One that is known from before keeps its own; the others take what is free, at random.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not self._is_of_this_form():
            shutil.rmtree(self._folder)
            self._folder.mkdir(mode=0o700)
        known = self._known()
        before = [known.pop(place, None) for place in self._places]
        used = {row for row, _ in filter(None, before)}
        free = [row for row in range(len(before)) if row not in used]
        chosen = iter(np.asarray(free, dtype=np.int64)[random_order(len(free))].tolist())
        tasks, every = [], max(1, len(before) // _MEASURED)
        for index, (listed, noted) in enumerate(zip(self._pictures, before, strict=True)):
            row, found = noted or (next(chosen), None)
            self.rows[index] = row
            tasks.append(Task(index, listed.picture, row, found, is_measured=index % every == 0))
        self._make_images()
        with self._private("ab", self._folder / JOURNAL) as self._journal:
            self._journal.write(b"\n" if used else self._first_line())  # a line that a kill has cut ends here
            self._journal.flush()
            yield tasks

    def note(self, index: int, found: Known) -> None:
        """Notes that a picture's row holds it. What is noted outlives this process once `flush` was called."""
        line = self._places[index], int(self.rows[index]), *found
        self._journal.write(_ENCODER.encode(line).encode() + b"\n")

    def flush(self) -> None:
        """Hands what was noted to the system."""
        self._journal.flush()

    def close_gaps(self, taken: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Moves rows until the pictures that are taken fill the first ones, and cuts the file off behind them.

        Args:
            taken: bool, (N,), in the listing's order.

        Returns:
            int64, (M,): which picture of the listing each row holds.
        """
        indices = np.flatnonzero(taken)
        count, rows = len(indices), self.rows[indices]
        held = np.full(count, -1, dtype=np.int64)
        held[rows[rows < count]] = indices[rows < count]
        gaps = np.flatnonzero(held < 0)
        with self.images.open("r+b") as file:
            for gap, index in zip(gaps, indices[rows >= count], strict=True):
                content = os.pread(file.fileno(), self.target.row_bytes, self.target.at(int(self.rows[index])))
                write_at(file.fileno(), memoryview(content), self.target.at(int(gap)))
                held[gap] = index
            write_at(file.fileno(), memoryview(_header(self.target, count)), 0)
            file.truncate(self.target.at(count))
            os.fsync(file.fileno())
        return held

    def remove(self) -> None:
        """Removes the folder, if it is there; what was published was moved out of it."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _make_images(self) -> None:
        """A file long enough for all rows; what is in it stays.

        The disk's room for them is got at once, where there is enough: a row that falls among others for which there
        is none yet takes the system several times as long to write.
        """
        with self._private("ab", self.images) as file:
            held, most = file.tell(), self.target.at(int(self.rows.max()) + 1)
            if held < most:
                try:
                    os.posix_fallocate(file.fileno(), held, most - held)
                except OSError:  # as many rows as there is room for are read, and the next try goes on
                    file.truncate(held)
                    file.truncate(most)

    def _first_line(self) -> bytes:
        return json.dumps({"form": self.form.to_dict()}, sort_keys=True).encode() + b"\n"

    def _is_of_this_form(self) -> bool:
        try:
            with (self._folder / JOURNAL).open("rb") as journal:
                return journal.readline() == self._first_line()
        except OSError:
            return not any(self._folder.iterdir())

    def _known(self) -> dict[str, tuple[int, Known]]:
        """What the journal notes of pictures: place → row and what was found; of a place and a row the last note."""
        found: dict[str, tuple[int, Known]] = {}
        owner: dict[int, str] = {}
        if not (self._folder / JOURNAL).exists():
            return found
        with (self._folder / JOURNAL).open("rb") as journal:
            for line in journal:
                try:
                    place, row, *values = json.loads(line)
                    known = Known.of(values)
                except (ValueError, TypeError):
                    continue  # the first line, or one that a kill has cut
                found[place] = row, known
                owner[row] = place
        return {place: noted for place, noted in found.items() if owner[noted[0]] == place}

    def _private(self, mode: str, path: Path) -> Any:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), mode)


def _place(listed: ListedPicture) -> str:
    return hashlib.sha256(listed.picture.place.encode("utf-8", "surrogateescape")).hexdigest()


def _header(target: Target, count: int) -> bytes:
    """The head of a .npy file of so many pictures, `HEADER_BYTES` long."""
    head = io.BytesIO()
    form = {
        "descr": np.lib.format.dtype_to_descr(target.dtype),
        "fortran_order": False,
        "shape": (count, *target.shape),
    }
    np.lib.format.write_array_header_1_0(head, form)
    written = head.getvalue()
    text = written[10:].rstrip(b"\n ")
    room = HEADER_BYTES - 10
    return written[:8] + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"
