"""Brings PySyft's rows to where the settings want them, when a datasite starts. They stay in the hospital.

Rows go from the state folder's file into an empty database, never over others. Back into a file they come by a backup.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from dataclasses import replace

from psycopg2.extensions import connection

from datasites.files.private_folder import sync_folder
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database import tables
from datasites.pysyft_database.owner import check_owner, owner_of, take
from datasites.pysyft_database.place import FILE, Place, sqlite_files, write_place, written_place
from datasites.pysyft_database.postgresql import reading, writing
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.pysyft_database.unreadable import said_of
from policies.errors import ConfigError, DatabaseRefused

MOVED = ".moved"


def check_reachable(state: StateFolder, settings: DatabaseSettings) -> None:
    """Refuses a start whose database does not answer, before anything is made or changed.

    Raises:
        DatabaseUnavailable, DatabaseRefused: It does not answer, or cannot be used.
    """
    if address := settings.database_address:
        with reading(state, address, settings.pysyft_database_authority):
            pass


def settle(state: StateFolder, settings: DatabaseSettings, server_uid: str) -> None:
    """Sees to it that the rows are where the settings say.

    Guarantees:
        Rows arrive whole or not at all, and what was in a database before is never written over. Killed at whatever
        moment, the next start goes on with the same rows.

    Args:
        state: The state folder of a datasite that does not serve yet.
        settings: Where PySyft's database is to be.
        server_uid: PySyft's identifier of the datasite.

    Raises:
        ConfigError: The rows are in PostgreSQL, and the settings name none.
        DatabaseUnavailable, DatabaseRefused: The database does not answer, or is not this datasite's.
    """
    address, written = settings.database_address, written_place(state)
    if address is None:
        _stay_in_the_folder(state, written)
        return
    wished = Place(str(address), settings.pysyft_database_authority, "")
    if written is None or written.moving:
        known = written.copy if written and written.address == wished.address else secrets.token_hex(16)
        wished = replace(wished, copy=known)
        _move(state, wished, server_uid)
    else:
        wished = replace(wished, copy=written.copy)
        with reading(state, address, wished.authority) as opened:
            check_owner(opened, wished)
    if wished != written:
        write_place(state, wished)
    _put_aside(state)


def _stay_in_the_folder(state: StateFolder, written: Place | None) -> None:
    if written is None:
        return
    if not written.moving:
        raise ConfigError(
            f"PySyft's rows are in PostgreSQL, at {written.address}, and config.toml has no pysyft_database. Put it "
            "back. To keep them in the state folder from now on, back up, restore, and empty pysyft_database in the "
            "restored folder."
        )
    (state.path / FILE).unlink()  # they never left: nothing was served from there


def _move(state: StateFolder, wished: Place, server_uid: str) -> None:
    with writing(state, wished.where, wished.authority) as opened:
        if owner_of(opened) == (server_uid, wished.copy):
            return  # a start was interrupted after they had arrived
        _refuse_taken(opened, wished)
        take(opened, server_uid, wished.copy)
        for file in sqlite_files(state):
            try:
                tables.read_sqlite(file, opened)
            except sqlite3.Error as error:
                raise ConfigError(
                    f"{file.name} cannot be read: it holds PySyft's rows. Restore the folder from a backup.",
                    private=said_of(error),
                ) from error
        write_place(state, replace(wished, moving=True))


def _refuse_taken(opened: connection, wished: Place) -> None:
    if owner_of(opened) is not None or tables.tables_of(opened):
        raise DatabaseRefused(
            f"The database {wished.where.database!r} holds tables already, and they are not what this state folder was "
            "served with. Nothing is written over: make an empty database and name it in pysyft_database."
        )


def _put_aside(state: StateFolder) -> None:
    """Renames the file that the rows came from: it is served no more, and in no backup."""
    for file in sqlite_files(state):
        with closing(sqlite3.connect(file)) as table:
            table.execute("PRAGMA journal_mode = DELETE")
        file.rename(file.with_name(file.name + MOVED))
        sync_folder(file.parent)
