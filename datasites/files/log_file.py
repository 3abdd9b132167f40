"""The hospital's logs, in bounded size. They stay in the state folder."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

MAX_LOG_BYTES = 64 << 20
_NOTE = b"--- earlier lines were cut: the log had reached max_log_bytes ---\n"


class BoundedHandler(logging.StreamHandler):
    """Writes to standard error, where that is a log file, and keeps the file within its size."""

    def __init__(self, file: Path, most_bytes: int) -> None:
        super().__init__()
        self._file, self._most_bytes = file, most_bytes

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        super().emit(record)
        cut(self._file, self._most_bytes)


def cut(file: Path, most_bytes: int) -> None:
    """Leaves of a log that has grown beyond `most_bytes` its latest lines, half as many bytes, under a note.

    Whoever has it open to append goes on below. A log that cannot be cut stays as it is: it is no reason to stop.
    """
    with contextlib.suppress(OSError):
        size = file.stat().st_size
        if size <= most_bytes:
            return
        with file.open("r+b") as old, file.open("ab") as new:
            old.seek(size - most_bytes // 2)
            old.readline()
            kept = old.read()
            old.truncate(0)
            new.write(_NOTE + kept)
