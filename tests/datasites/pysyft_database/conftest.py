"""Fixtures: one PostgreSQL for the tests of a process, and state folders with rows as PySyft keeps them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.postgresql import Server, postgresql, write_password

from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities

COLUMNS = "id, fields, permissions, storage_permissions, _created_at, _updated_at, _deleted_at"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with postgresql() as server:
        yield server


@pytest.fixture
def database(postgres: Server) -> str:
    """The name of an empty database."""
    name = f"d{uuid.uuid4().hex[:12]}"
    postgres.new_database(name)
    return name


@pytest.fixture
def north(tmp_path: Path) -> StateFolder:
    """A new datasite's folder, with the role's password."""
    state = StateFolder(tmp_path / "north")
    identities.load_or_create(state)
    write_password(state.path)
    return state


def sqlite_file(state: StateFolder) -> Path:
    """Where PySyft keeps its rows in a state folder."""
    uid = identities.load(state).server_uid
    return state.syft / uid / "db" / f"{uid}_json.db"


def keep_rows(state: StateFolder, table: str, rows: dict[str, object]) -> None:
    """Writes rows as PySyft does: identifier and what it holds."""
    file = sqlite_file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute(
            f'CREATE TABLE IF NOT EXISTS "{table}" (id CHAR(32) NOT NULL, fields JSON, permissions JSON, '
            "storage_permissions JSON, _created_at DATETIME DEFAULT (CURRENT_TIMESTAMP), _updated_at DATETIME, "
            "_deleted_at DATETIME, PRIMARY KEY (id))"
        )
        for name, held in rows.items():
            key = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
            values = (key, json.dumps(held), json.dumps([f"{key}_READ"]), "[]")
            opened.execute(
                f'INSERT INTO "{table}" (id, fields, permissions, storage_permissions) VALUES (?, ?, ?, ?)', values
            )
    file.chmod(0o600)


def rows_of_file(file: Path, table: str) -> list[tuple[object, ...]]:
    """All that a file holds of a table, with what JSON means rather than how it is spelt."""
    with closing(sqlite3.connect(file)) as opened:
        found = opened.execute(f'SELECT {COLUMNS} FROM "{table}" ORDER BY id').fetchall()
    return [(row[0], *map(json.loads, row[1:4]), str(row[4])[:19], *row[5:]) for row in found]
