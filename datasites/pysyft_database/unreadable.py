"""Rows of PySyft's that cannot be read: told by their table alone. No text holds anything of a row.

A row of an account holds its signing key and the hash of its password, and what databases and parsers say of a row
that they cannot read quotes it.
"""

from __future__ import annotations

import sqlite3

import psycopg2

from policies.errors import RowUnreadable

_OF_SQLITE = ("malformed JSON", "Could not decode to UTF-8")


def unreadable(table: str) -> RowUnreadable:
    """What is said of a row that cannot be read."""
    return RowUnreadable(
        f"A row of PySyft's table {table!r} cannot be read: it was damaged or changed by hand. Nothing was changed. "
        "The hospital restores the datasite from a backup."
    )


def is_of_a_row(error: BaseException | None) -> bool:
    """Whether a database's error says that something stored cannot be read. Its text may quote what is stored."""
    if isinstance(error, psycopg2.DataError):
        return True
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    # SQLite's own class of a damaged file has no class below it, and all others are below it.
    return type(error) is sqlite3.DatabaseError or str(error).startswith(_OF_SQLITE)


def said_of(error: BaseException) -> str:
    """What a database says of an error, without what it quotes of a row."""
    if is_of_a_row(error):
        return type(error).__name__
    if isinstance(error, psycopg2.Error) and error.diag.message_primary:
        return f"{error.diag.severity}: {error.diag.message_primary}"
    return " ".join(str(error).split()) or type(error).__name__
