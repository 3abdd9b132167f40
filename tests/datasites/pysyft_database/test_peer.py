"""Whoever listens where PostgreSQL should gets neither the password nor a row: asked of real servers and sockets."""

from __future__ import annotations

import os
import pwd
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgresql import PASSWORD, ROLE, Server

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database import peer
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.pysyft_database.settling import check_reachable
from policies.errors import DatabaseRefused, DatabaseUnavailable


def by_socket(folder: Path, port: int, database: str) -> DatabaseSettings:
    return DatabaseSettings(pysyft_database=f"postgresql://{ROLE}@:{port}/{database}?host={folder}")


@pytest.mark.parametrize("method", ["password", "md5", "trust"])
def test_a_server_that_asks_for_the_password_itself_or_for_none_gets_nothing(
    method: str, north: StateFolder, postgres: Server, database: str
) -> None:
    settings = DatabaseSettings(pysyft_database=postgres.address(database))
    if method == "md5":  # the server answers with SCRAM where it keeps that of a role
        postgres.run(f"SET password_encryption = 'md5'; ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")
    try:
        with postgres.letting_in(method), pytest.raises(DatabaseUnavailable) as error:
            check_reachable(north, settings)
    finally:
        postgres.run(f"SET password_encryption = 'scram-sha-256'; ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")
    assert "authentication method requirement" in error.value.private
    assert PASSWORD not in error.value.private
    check_reachable(north, settings)


@pytest.mark.parametrize("method", ["scram-sha-256", "trust"])
def test_a_server_behind_its_own_socket_is_believed(
    method: str, north: StateFolder, postgres: Server, database: str
) -> None:
    with postgres.letting_in(method, "local"):
        check_reachable(north, by_socket(postgres.folder, postgres.port, database))


def test_a_server_behind_its_own_socket_that_asks_for_the_password_itself_gets_nothing(
    north: StateFolder, postgres: Server, database: str
) -> None:
    with postgres.letting_in("password", "local"), pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, by_socket(postgres.folder, postgres.port, database))
    assert "authentication method requirement" in error.value.private


@pytest.fixture
def listening() -> Iterator[tuple[Path, socket.socket]]:
    """A folder with a socket at which nobody's PostgreSQL listens; a short path, as sockets have it."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{folder}/.s.PGSQL.5432")
        made.listen()
        made.setblocking(False)
        yield Path(folder), made


def test_a_socket_of_another_account_is_not_spoken_to(
    north: StateFolder, listening: tuple[Path, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = listening
    others = os.geteuid() + 1
    monkeypatch.setattr(peer, "SERVERS", ("postgres",))
    monkeypatch.setattr(os, "geteuid", lambda: others)
    with pytest.raises(DatabaseRefused, match="of another account than PostgreSQL's") as error:
        check_reachable(north, by_socket(folder, 5432, "north"))
    assert pwd.getpwuid(os.getuid()).pw_name in error.value.private
    assert str(folder) not in error.value.public
    with pytest.raises(BlockingIOError):
        made.accept()


def test_a_process_of_another_account_behind_a_socket_gets_nothing(
    north: StateFolder, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasites.pysyft_database.postgresql.peer_of", lambda _: "daemon")
    with pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, by_socket(postgres.folder, postgres.port, database))
    assert "requirepeer" in error.value.private


def test_a_socket_that_is_not_there_is_named_to_the_hospital_alone(north: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, by_socket(tmp_path, 5432, "north"))
    assert f"There is no socket {tmp_path}" in error.value.private and str(tmp_path) not in error.value.public
