"""Paths of files whose names follow from text that somebody else wrote: inside their folder, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

from policies.errors import ConfigError

_FILE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.@+-]{0,254}")


def inside(folder: Path | str, name: str) -> Path:
    """The path of `name` directly in `folder`, whether or not it exists.

    Args:
        folder: Whoever runs the program chose it; it may be a link.
        name: Letters, digits and `_ . @ + -`, not beginning with a point: never a path.

    Raises:
        ConfigError: It is no such name, or a link that leads out of the folder.
    """
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise ConfigError(f"A file's name must be 1 to 255 of A-Z, a-z, 0-9, '_.@+-', no path; got {str(name)[:80]!r}.")
    path = Path(folder) / name
    if path.resolve().parent != Path(folder).resolve():
        raise ConfigError(f"{path} is a link that leads out of its folder. Remove it.")
    return path
