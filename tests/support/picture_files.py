"""Pictures of files as a source lists them, and some that go wrong. Reading processes find their classes here."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import BITS_IN_DOUBT, DAMAGED
from datasites.sources.listing import ListedPicture, Listing
from policies.plans.picture_form import PictureForm


@dataclass(frozen=True)
class RawPicture:
    """A file of raw pixels. Whoever reads pixels adds a byte to the file `read` beside it."""

    path: Path

    @property
    def place(self) -> str:
        return self.path.name

    def digest(self) -> bytes:
        return hashlib.sha256(self.path.read_bytes()).digest()

    def stamp(self) -> tuple[int, ...]:
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def own_size(self) -> tuple[int, int]:
        return SIDE, SIDE

    def pixels(self, form: PictureForm) -> NDArray[np.uint8]:
        with (self.path.parent / "read").open("ab") as read:
            read.write(b".")
        content = self.path.read_bytes()
        if content == b"damaged":
            raise PictureRefused(DAMAGED, private="the decoder's words")
        if content == b"doubtful":
            raise PictureRefused(BITS_IN_DOUBT)
        if content == b"growing":
            self.path.write_bytes(content * 2)
        if content == b"unforeseen":
            raise ZeroDivisionError
        if content == b"deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        size = form.size[0] * form.size[1]
        return np.frombuffer(content[:size].ljust(size), np.uint8).reshape(*form.size, 1)


SIDE = 4


def write_raw(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Writes files of different pixels, 4 x 4 x 1."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    files = [folder / f"{number:04}.raw" for number in range(count)]
    for file in files:
        file.write_bytes(rng.bytes(SIDE * SIDE))
    return files


def raw_listing(files: Sequence[Path], *, labels: Sequence[int] = (), patients: Sequence[str] | None = None) -> Listing:
    """A listing of such files; without labels the classes take turns."""
    pictures = [
        ListedPicture(
            RawPicture(file),
            (labels[number] if labels else number % 2,),
            None if patients is None else patients[number],
        )
        for number, file in enumerate(files)
    ]
    return Listing(files[0].parent, pictures, ("benign", "malignant"), own_size=(SIDE, SIDE), own_channels=1)


def pictures_read(folder: Path) -> int:
    """How often pixels of the folder's files were read since this was asked last."""
    read = folder / "read"
    if not read.exists():
        return 0
    count = read.stat().st_size
    read.unlink()
    return count
