"""Tells whether files were written to since they were last read, so that what was verified once is not read again.

It stays in the hospital, and decides nothing: where it cannot tell, the files are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

# A file system's clock stands still for some hundredths of a second: two writes within them leave the same time.
_GRAIN_NANOSECONDS = 100_000_000
Stamp = tuple[tuple[int, ...], ...]


def stamp(files: Iterable[Path], *, waiting: Iterable[Path] = ()) -> Stamp | None:
    """What the file system knows of some files; whoever writes to one of them, or replaces it, changes it.

    Guarantees:
        Where two stamps of the same files are equal, and neither is None, none of them was written to in between, by
        whatever program. A write sets the time of change, which no call but the clock's own can set.

    Args:
        files: The files that are read.
        waiting: Files such as SQLite's write-ahead log, whose content belongs to the others' until it is taken over.

    Returns:
        None where that cannot be told: a file is missing, was written to a moment ago, or something waits.
    """
    now = time.time_ns()
    found = []
    try:
        if any(path.stat().st_size for path in waiting if path.exists()):
            return None
        for path in files:
            known = path.stat()
            if now - known.st_ctime_ns < _GRAIN_NANOSECONDS:
                return None
            found.append((known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns))
    except OSError:
        return None
    return tuple(found)
