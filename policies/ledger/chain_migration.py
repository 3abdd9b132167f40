"""Brings an older ledger's table to the present schema, each row as it was. It stays in the hospital."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from policies.ledger.chain import SCHEMA, locked

_COPY = "CREATE TEMP TABLE kept AS SELECT * FROM main.entries; DROP TABLE main.entries;"
_PUT_BACK = "INSERT INTO main.entries SELECT * FROM kept ORDER BY sequence; DROP TABLE kept;"


def renew_table(path: Path) -> None:
    """Makes the table of the ledger at `path` anew by the present schema, unless it has that.

    Guarantees:
        Every row stays as it is, with its hash; a crash leaves the old table or the new one.

    Raises:
        sqlite3.Error, OSError: The file cannot be read or written; it is as it was.
    """
    with locked(path.with_suffix(".lock")), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (made_by,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name='entries'").fetchone()
        if "'start'" not in made_by:
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN IMMEDIATE; {_COPY} {SCHEMA.read_text()} {_PUT_BACK} COMMIT;")
