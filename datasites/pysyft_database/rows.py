"""PySyft's rows, read without PySyft and without changing one, wherever they are. They stay in the hospital."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psycopg2.errors
from psycopg2 import sql

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.owner import check_owner
from datasites.pysyft_database.place import Place, kept_place, sqlite_files
from datasites.pysyft_database.postgresql import reading
from datasites.pysyft_database.unreadable import is_of_a_row, unreadable

Row = Mapping[str, Any]


def live_rows(state: StateFolder, table: str) -> list[Row]:
    """What PySyft's objects of one table hold, without those it has deleted. No row where the table is not there yet
    in PostgreSQL.

    Raises:
        sqlite3.Error: The file cannot be read, or does not hold the table.
        RowUnreadable: A row cannot be read.
        DatabaseUnavailable, DatabaseRefused: PostgreSQL does not answer, or what answers is not this datasite's.
    """
    place = kept_place(state)
    if place is None:
        return _read(table, _of_files(state, table))
    with reading(state, place.where, place.authority) as opened:
        check_owner(opened, place)
        query = sql.SQL("SELECT fields::text FROM {} WHERE _deleted_at IS NULL").format(sql.Identifier(table))
        try:
            with opened.cursor() as cursor:
                cursor.execute(query)
                return _read(table, [text for (text,) in cursor.fetchall()])
        except psycopg2.errors.UndefinedTable:
            opened.rollback()
            return []


def server_of(state: StateFolder, place: Place) -> tuple[str, bool]:
    """The version of the server that keeps a datasite's rows, and whether it puts them on disk at once. Raises as
    `live_rows`."""
    with reading(state, place.where, place.authority) as opened:
        check_owner(opened, place)
        with opened.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
            (told,) = cursor.fetchall()
    return str(told[0]), told[1] == "on"


def _of_files(state: StateFolder, table: str) -> list[str]:
    found: list[str] = []
    for file in sqlite_files(state):
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=20)) as opened:
            try:
                rows = opened.execute(f'SELECT fields FROM "{table}" WHERE _deleted_at IS NULL')  # noqa: S608 - own names
                found += [text for (text,) in rows]
            except sqlite3.DatabaseError as error:
                if not is_of_a_row(error):
                    raise
                raise unreadable(table) from None
    return found


def _read(table: str, texts: list[str]) -> list[Row]:
    with contextlib.suppress(ValueError, TypeError):
        rows = [json.loads(text) for text in texts]
        if all(isinstance(row, dict) for row in rows):
            return rows
    raise unreadable(table)
