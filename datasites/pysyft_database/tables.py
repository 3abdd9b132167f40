"""PySyft's tables in SQLite and in PostgreSQL, and rows carried from one to the other. They stay in the hospital.

Every table of PySyft's 0.9.5 has the same seven columns. One with others is refused rather than carried in part.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection
from psycopg2.extras import execute_values

from policies.errors import DatabaseRefused

OWNER = "wanwu_datasite"
COLUMNS = ("id", "fields", "permissions", "storage_permissions", "_created_at", "_updated_at", "_deleted_at")
_AT_ONCE = 200
# Not `information_schema`: it hides what the role may not read, and a database with that is not empty.
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname='public' AND tablename <> %s ORDER BY tablename"
_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema='public' AND table_name=%s "
    "ORDER BY ordinal_position"
)
_IN_SQLITE = (
    'CREATE TABLE {0} (id CHAR(32) NOT NULL, "fields" JSON, permissions JSON, storage_permissions JSON, '
    "_created_at DATETIME DEFAULT CURRENT_TIMESTAMP, _updated_at DATETIME, _deleted_at DATETIME, PRIMARY KEY (id))"
)
_IN_POSTGRESQL = (
    "CREATE TABLE {table} (id UUID NOT NULL, fields JSON, permissions JSONB, storage_permissions JSONB, "
    "_created_at TIMESTAMP WITHOUT TIME ZONE DEFAULT now(), _updated_at TIMESTAMP WITHOUT TIME ZONE, "
    "_deleted_at TIMESTAMP WITHOUT TIME ZONE, PRIMARY KEY (id))"
)
_READ = (
    "SELECT replace(id::text, '-', ''), fields::text, permissions::text, storage_permissions::text, "
    "to_char(_created_at, {time}), to_char(_updated_at, {time}), to_char(_deleted_at, {time}) FROM {table}"
)
_TIME = "YYYY-MM-DD HH24:MI:SS.US"
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def as_json(value: object) -> str:
    """A value as PostgreSQL keeps it.

    Guarantees:
        What PostgreSQL could not search afterwards is refused here: one such row would end every search of its table.

    Raises:
        ValueError: It holds a NUL, half a surrogate pair, or a number that is none.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    check_text(text)
    return text


def check_text(text: str) -> None:
    """Raises ValueError for JSON that PostgreSQL could keep and not search."""
    text.encode("utf-8")  # refuses half a surrogate pair
    if "\0" in text or _NUL.search(text):
        raise ValueError("a text holds a NUL, which PostgreSQL does not keep")


def tables_of(opened: connection) -> list[str]:
    """The tables in a database, without the one that says whose it is."""
    with opened.cursor() as cursor:
        cursor.execute(_TABLES, (OWNER,))
        return [str(name) for (name,) in cursor.fetchall()]


def write_sqlite(opened: connection, target: Path) -> None:
    """Writes all rows of one moment into a new SQLite file, as PySyft reads it.

    Raises:
        DatabaseRefused: A table is not PySyft's.
    """
    with closing(sqlite3.connect(target)) as file, file:
        for table in tables_of(opened):
            with opened.cursor() as cursor:
                cursor.execute(_COLUMNS, (table,))
                _check_columns(table, [str(name) for (name,) in cursor.fetchall()])
            file.execute(_IN_SQLITE.format(_quoted(table)))
            for column in ("_created_at", "_deleted_at"):
                file.execute(f"CREATE INDEX {_quoted(f'ix_{table}_{column}')} ON {_quoted(table)} ({column})")
            with opened.cursor(name="rows") as reader:
                reader.itersize = _AT_ONCE
                reader.execute(sql.SQL(_READ).format(table=sql.Identifier(table), time=sql.Literal(_TIME)))
                file.executemany(f"INSERT INTO {_quoted(table)} VALUES (?, ?, ?, ?, ?, ?, ?)", reader)  # noqa: S608


def read_sqlite(source: Path, opened: connection) -> int:
    """Writes all rows of PySyft's SQLite file into an empty database, within the caller's transaction; their number.

    Raises:
        DatabaseRefused: A table is not PySyft's, or a row holds what PostgreSQL does not keep.
    """
    count = 0
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=20)) as file:
        for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name").fetchall():
            found = [row[1] for row in file.execute(f"PRAGMA table_info({_quoted(table)})")]
            _check_columns(table, found)
            rows = file.execute(f"SELECT {', '.join(map(_quoted, COLUMNS))} FROM {_quoted(table)}")  # noqa: S608
            count += _write_table(opened, table, rows)
    return count


def _write_table(opened: connection, table: str, rows: sqlite3.Cursor) -> int:
    name, count = sql.Identifier(table), 0
    with opened.cursor() as cursor:
        cursor.execute(sql.SQL(_IN_POSTGRESQL).format(table=name))
        for column in ("_created_at", "_deleted_at"):
            index = sql.Identifier(f"ix_{table}_{column}")
            cursor.execute(sql.SQL("CREATE INDEX {} ON {} ({})").format(index, name, sql.Identifier(column)))
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        insert = sql.SQL("INSERT INTO {} ({}) VALUES %s").format(name, columns)
        while part := rows.fetchmany(_AT_ONCE):
            for row in part:
                _check_row(table, row)
            execute_values(cursor, insert, part)
            count += len(part)
    return count


def _check_row(table: str, row: tuple[object, ...]) -> None:
    """Refuses what would be another row in PostgreSQL; SQLite makes a number of an identifier that reads as one."""
    wrong = "" if isinstance(row[0], str) else f"its identifier {row[0]!r} was kept as a number"
    try:
        for text in row[1:4]:
            check_text(str(text or ""))
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise DatabaseRefused(
            f"A row of PySyft's table {table!r} cannot be kept in PostgreSQL: {wrong}. Stay with the file in the state "
            "folder, and report it."
        )


def _check_columns(table: str, found: list[str]) -> None:
    if sorted(found) != sorted(COLUMNS):
        raise DatabaseRefused(
            f"The table {table!r} is none of PySyft's 0.9.5: it has the columns {', '.join(found)}. Give PySyft a "
            "database of its own."
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
