"""Folders that only the hospital's own account can read, and that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from policies.errors import DataError


@contextmanager
def only_writer(parent: Path) -> Iterator[None]:
    """Lets one process at a time make folders in `parent`; the lock ends with the process, however that ends.

    Raises:
        DataError: Another process holds the lock.
    """
    lock = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError("Another ingestion is writing to this folder. Wait until it has ended.") from error
        yield
    finally:
        os.close(lock)


def write_folder(
    folder: Path, files: Mapping[str, Callable[[BinaryIO], object]], *, moved: Mapping[str, Path] | None = None
) -> None:
    """Writes a new folder, mode 0700, of files, mode 0600: first aside, then renamed.

    A crash leaves no half folder; what it left aside is removed by the next call. Call it under `only_writer`.

    Args:
        folder: Does not exist yet; its parent does.
        files: File name to a function that writes the open file.
        moved: File name to a finished file of the same disk, safely on it, which becomes this one at the very end.

    Raises:
        OSError: No space, no rights, or the folder appeared meanwhile. What was written is removed.
    """
    aside = folder.with_name(f".{folder.name}.partial")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    try:
        for name, write in files.items():
            with _private_file(aside / name) as file:
                write(file)
        for name, finished in (moved or {}).items():
            finished.rename(aside / name)
        sync_folder(aside)
        aside.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def _private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only this account can read, safely on disk at the end."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Puts a folder's own entries, what is in it under which name, safely on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
