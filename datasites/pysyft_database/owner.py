"""The owner of a database in PostgreSQL: which datasite it is, and which copy of its rows. It stays in the hospital."""

from __future__ import annotations

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.place import Place
from datasites.pysyft_database.postgresql import connect, unavailable
from datasites.pysyft_database.tables import OWNER
from policies.errors import DatabaseRefused

_TABLE = sql.Identifier(OWNER)


def owner_of(opened: connection) -> tuple[str, str] | None:
    """PySyft's identifier of the datasite and the number of the copy; None in a database that nobody has taken."""
    with opened.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (f"public.{OWNER}",))
        if cursor.fetchone() == (None,):
            return None
        cursor.execute(sql.SQL("SELECT server_uid, copy FROM {}").format(_TABLE))
        rows = cursor.fetchall()
    return (str(rows[0][0]), str(rows[0][1])) if len(rows) == 1 else ("", "")


def take(opened: connection, server_uid: str, copy: str) -> None:
    """Writes whose it is into a database that nobody has taken, within the caller's transaction."""
    with opened.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE TABLE {} (server_uid TEXT NOT NULL, copy TEXT NOT NULL)").format(_TABLE))
        cursor.execute(sql.SQL("INSERT INTO {} VALUES (%s, %s)").format(_TABLE), (server_uid, copy))


def check_owner(opened: connection, place: Place) -> None:
    """Refuses a database that is not the one which this state folder's rows are in.

    Raises:
        DatabaseRefused: It is empty, another datasite's, or another copy.
    """
    found = owner_of(opened)
    if found is None or found[1] != place.copy:
        what = "holds no datasite's rows" if found is None else "is another datasite's, or another copy of this one's"
        raise DatabaseRefused(
            f"The database of accounts and requests {what}. Set pysyft_database to the one that this state folder was "
            "served with; or restore the folder from a backup and give it an empty database.",
            private=f"It is the database at {place.where}.",
        )


def connect_owned(state: StateFolder, place: Place) -> connection:
    """Opens a connection to the database that a state folder's rows are in, and to no other that has its name.

    Raises:
        DatabaseRefused: It is empty, another datasite's, or another copy.
        DatabaseUnavailable, ConfigError: As `connect`.
    """
    opened = connect(state, place.where, place.authority)
    try:
        check_owner(opened, place)
        opened.rollback()  # the reading began a transaction
    except psycopg2.Error as error:
        opened.close()
        raise unavailable(error, place.where) from error
    except DatabaseRefused:
        opened.close()
        raise
    return opened
