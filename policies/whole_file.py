"""Files of results, which are the old ones or the new ones and never half of each. What they hold is public."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from policies.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def check_writable(path: Path, what: str) -> None:
    """Makes the file's folder, and refuses a path that `write_whole` could not write to, before anything long is done.

    Args:
        path: Of the file.
        what: It holds, as the error's first words: `The result`.

    Raises:
        ConfigError: It cannot be written.
    """
    if not _is_device(path):
        _written(path, b"", what, kept=False)


def write_whole(path: Path, content: bytes, what: str) -> None:
    """Writes a file beside its place and moves it there; its folders are made. A device or a pipe is written to.

    Args:
        path: Of the file.
        content: All of it.
        what: As of `check_writable`.

    Raises:
        ConfigError: It cannot be written; what was there is as it was.
    """
    _written(path, content, what, kept=True)


def _written(path: Path, content: bytes, what: str, *, kept: bool) -> None:
    try:
        if _is_device(path):
            path.write_bytes(content)
            return
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        place = path.resolve()  # a link stays one
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(content)
                if kept:  # else a loss of power could leave the name with nothing behind it
                    file.flush()
                    os.fsync(file.fileno())
            if kept:
                part.replace(place)
        finally:
            with contextlib.suppress(OSError):  # it is gone once it has become the file
                part.unlink()
    except OSError as error:
        raise ConfigError(f"{what} cannot be written to {path}: {error.strerror}. Give another path.") from error


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()
