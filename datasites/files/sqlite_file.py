"""SQLite files of a datasite: readable by its own account only, in write-ahead mode, synced at every commit."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def open_private(path: Path, schema: str) -> sqlite3.Connection:
    """Opens the file, made with mode 0600 if it is new, with the tables of `schema`; threads may share it."""
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(schema)
    return connection
