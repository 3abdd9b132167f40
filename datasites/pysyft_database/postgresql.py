"""Connections to PostgreSQL: never in clear across a network, never with a password in a text that anybody logs."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, ISOLATION_LEVEL_SERIALIZABLE, connection

from datasites.files.secret_text import secret_text
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.address import DatabaseAddress
from datasites.pysyft_database.peer import UNREACHABLE, peer_of
from datasites.pysyft_database.unreadable import said_of
from policies.errors import ConfigError, DatabaseRefused, DatabaseUnavailable

OLDEST_SERVER = 13
PASSWORD_FILE = "database-password"  # noqa: S105 - the name of a file
LOCK_MILLISECONDS = 10_000
# A call that waits for another's row gives up, rather than hold the datasite; rows are on disk before an answer leaves.
_OPTIONS = "-c timezone=UTC -c search_path=public -c statement_timeout=120000 -c synchronous_commit=on"


def connect(state: StateFolder, address: DatabaseAddress, authority: str) -> connection:
    """Opens a connection. The password comes from the state folder, else from where libpq looks for it (`~/.pgpass`).

    Guarantees:
        Anywhere but on this machine the server is known by its certificate, for its name and by that authority. The
        password itself leaves on no way: what listens learns nothing from SCRAM that it could sign in with, and over
        TCP must show that it knows the password too. Of a Unix socket the kernel says whose process answers.

    Raises:
        DatabaseUnavailable: There is no answer, or the server refuses; its private text says why.
        DatabaseRefused: A Unix socket is of an account that PostgreSQL is not run by.
        ConfigError: The file with the password is open to others.
    """
    local = address.is_local
    peer = peer_of(address) if address.host.startswith("/") else None
    try:
        return psycopg2.connect(
            host=address.host,
            hostaddr="",  # else one of the environment would send it elsewhere
            port=address.port,
            user=address.user,
            dbname=address.database,
            password=_password(state),
            require_auth="scram-sha-256" if peer is None else "scram-sha-256,none",
            requirepeer=peer,
            sslmode="prefer" if local else "verify-full",
            sslrootcert=authority or None,
            gssencmode="disable",
            connect_timeout=10,
            client_encoding="UTF8",
            application_name="wanwu datasite",
            target_session_attrs="read-write",
            options=f"{_OPTIONS} -c lock_timeout={LOCK_MILLISECONDS}",
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
    except psycopg2.Error as error:
        raise unavailable(error, address) from error


def unavailable(error: BaseException, address: DatabaseAddress) -> DatabaseUnavailable:
    """What is said of a server that does not answer, or not in time; to the hospital also where and why."""
    if isinstance(error, psycopg2.errors.LockNotAvailable):
        return DatabaseUnavailable(
            "The hospital's database of accounts and requests is locked by somebody. Try again later; no round is "
            "charged twice.",
            private=f"PostgreSQL at {address}: {said_of(error)}. Another connection holds a lock for longer than "
            f"{LOCK_MILLISECONDS / 1000:.0f} s: find it in pg_locks and pg_stat_activity, "
            "and end its transaction.",
        )
    return DatabaseUnavailable(
        UNREACHABLE,
        private=f"PostgreSQL at {address}: {said_of(error)}. Is the server running there, does the role exist, and "
        f"does identity/{PASSWORD_FILE} hold its password? See docs/how-to-use-postgresql.md.",
    )


@contextlib.contextmanager
def reading(state: StateFolder, address: DatabaseAddress, authority: str) -> Iterator[connection]:
    """One transaction that sees one moment and writes nothing.

    Raises:
        DatabaseUnavailable: The server does not answer, or ceases to.
        DatabaseRefused: It is none that can be used.
    """
    with _transaction(state, address, authority, writes=False) as opened:
        yield opened


@contextlib.contextmanager
def writing(state: StateFolder, address: DatabaseAddress, authority: str) -> Iterator[connection]:
    """One transaction that is carried out whole or not at all. Raises as `reading`."""
    with _transaction(state, address, authority, writes=True) as opened:
        yield opened


@contextlib.contextmanager
def _transaction(state: StateFolder, address: DatabaseAddress, authority: str, *, writes: bool) -> Iterator[connection]:
    opened = connect(state, address, authority)
    try:
        level = ISOLATION_LEVEL_SERIALIZABLE if writes else ISOLATION_LEVEL_REPEATABLE_READ
        opened.set_session(isolation_level=level, readonly=not writes)
        _check(opened, address)
        yield opened
        opened.commit()
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise unavailable(error, address) from error
    except psycopg2.Error as error:
        raise DatabaseRefused(
            f"PostgreSQL refused what a datasite must do in the database {address.database!r}. Does it belong to the "
            "role that opens it?",
            private=f"{address}: {said_of(error)[:300]}",
        ) from error
    finally:
        opened.close()  # which undoes what was not carried out


def _check(opened: connection, address: DatabaseAddress) -> None:
    version = opened.server_version // 10_000
    if version < OLDEST_SERVER:
        raise DatabaseRefused(
            f"PostgreSQL {OLDEST_SERVER} or newer is needed, the server of {address.database!r} is {version}. Take "
            "another server."
        )
    encoding = opened.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseRefused(
            f"The database {address.database!r} has the encoding {encoding}, UTF8 is needed. Make it anew: createdb "
            "--encoding=UTF8 --template=template0."
        )


def _password(state: StateFolder) -> str | None:
    file: Path = state.identity / PASSWORD_FILE
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigError(f"identity/{file.name} is open to other accounts of this machine: chmod 600 it.")
        password = secret_text(file).strip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"identity/{file.name} cannot be read: it holds PostgreSQL's password.") from error
    if not password or any(end in password for end in "\0\r\n"):
        raise ConfigError(f"identity/{file.name} must hold one line: PostgreSQL's password.")
    return password
