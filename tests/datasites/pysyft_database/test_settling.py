"""Rows of PySyft come into PostgreSQL whole or not at all, into an empty database, and are found there afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from support.postgresql import PASSWORD, Server, write_password

from datasites.files.state_folder import StateFolder
from datasites.pysyft_database import settling, tables
from datasites.pysyft_database.place import FILE, kept_place, sqlite_files
from datasites.pysyft_database.postgresql import reading
from datasites.pysyft_database.rows import live_rows
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.pysyft_database.settling import check_reachable, settle
from datasites.state import identity as identities
from policies.errors import ConfigError, DatabaseRefused, DatabaseUnavailable, WanwuError

from .conftest import keep_rows, rows_of_file, sqlite_file

ROWS: dict[str, object] = {"one": {"id": "one", "text": "größer \\u0000 als"}, "two": {"id": "two", "number": 0.1}}


def settings(server: Server, name: str) -> DatabaseSettings:
    return DatabaseSettings(pysyft_database=server.address(name))


def settled(state: StateFolder, wanted: DatabaseSettings) -> None:
    settle(state, wanted, identities.load(state).server_uid)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_without_a_setting_nothing_changes(north: StateFolder) -> None:
    keep_rows(north, "Request", ROWS)
    before = everything(north.path)
    settled(north, DatabaseSettings())
    assert everything(north.path) == before
    assert live_rows(north, "Request") == list(ROWS.values())


def test_the_rows_of_the_file_come_into_an_empty_database_and_the_file_is_served_no_more(
    north: StateFolder, postgres: Server, database: str, tmp_path: Path
) -> None:
    keep_rows(north, "Request", ROWS)
    keep_rows(north, "User", {"ada": {"email": "ada@example.org"}})
    before = rows_of_file(sqlite_file(north), "Request")
    settled(north, settings(postgres, database))
    assert sqlite_files(north) == []
    assert sorted(map(repr, live_rows(north, "Request"))) == sorted(map(repr, ROWS.values()))
    place = kept_place(north)
    assert place is not None
    with reading(north, place.where, "") as opened:
        tables.write_sqlite(opened, tmp_path / "back.db")
    assert rows_of_file(tmp_path / "back.db", "Request") == before
    assert len(rows_of_file(tmp_path / "back.db", "User")) == 1


def test_a_start_killed_before_the_rows_arrived_begins_anew_and_one_killed_after_goes_on(
    north: StateFolder, postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_rows(north, "Request", ROWS)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(settling, "write_place", killed)  # within the transaction
        with pytest.raises(KeyboardInterrupt):
            settled(north, settings(postgres, database))
    assert len(live_rows(north, "Request")) == 2
    assert postgres.run("SELECT count(*) FROM pg_tables WHERE schemaname='public'", database) == [(0,)]
    with monkeypatch.context() as patch:
        patch.setattr(settling, "_put_aside", killed)
        with pytest.raises(KeyboardInterrupt):
            settled(north, settings(postgres, database))
    assert len(sqlite_files(north)) == 1
    settled(north, settings(postgres, database))
    assert sqlite_files(north) == []
    assert len(live_rows(north, "Request")) == 2


def test_a_database_that_holds_anything_is_not_written_over(
    north: StateFolder, postgres: Server, database: str
) -> None:
    postgres.run("CREATE TABLE patients (name text)", database)
    before = everything(north.path)
    with pytest.raises(DatabaseRefused, match="holds tables already"):
        settled(north, settings(postgres, database))
    assert everything(north.path) == before


def test_a_database_of_another_datasite_or_another_copy_is_refused(
    north: StateFolder, postgres: Server, database: str, tmp_path: Path
) -> None:
    settled(north, settings(postgres, database))
    south = StateFolder(tmp_path / "south")
    identities.load_or_create(south)
    write_password(south.path)
    with pytest.raises(DatabaseRefused, match="holds tables already"):
        settled(south, settings(postgres, database))
    other = f"{database}x"
    postgres.new_database(other)
    settled(south, settings(postgres, other))
    with pytest.raises(DatabaseRefused, match="another datasite's"):
        settled(north, settings(postgres, other))
    third = f"{database}y"
    postgres.new_database(third)
    with pytest.raises(DatabaseRefused, match="holds no datasite's rows"):
        settled(north, settings(postgres, third))
    postgres.run(f"UPDATE wanwu_datasite SET copy='{'0' * 32}'", database)
    with pytest.raises(DatabaseRefused):
        live_rows(north, "Request")


def test_a_database_that_moved_to_another_name_is_known_by_its_copy(
    north: StateFolder, postgres: Server, database: str
) -> None:
    keep_rows(north, "Request", ROWS)
    settled(north, settings(postgres, database))
    postgres.run(f"ALTER DATABASE {database} RENAME TO {database}z")
    with pytest.raises(DatabaseUnavailable):
        live_rows(north, "Request")
    settled(north, settings(postgres, f"{database}z"))
    assert len(live_rows(north, "Request")) == 2


def test_rows_in_postgresql_are_not_forgotten_when_the_setting_is(
    north: StateFolder, postgres: Server, database: str
) -> None:
    settled(north, settings(postgres, database))
    with pytest.raises(ConfigError, match="Put it back"):
        settled(north, DatabaseSettings())


def test_a_server_out_of_reach_changes_nothing_and_says_where(north: StateFolder, postgres: Server) -> None:
    before = everything(north.path)
    with pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, settings(postgres, "nowhere"))
    assert "nowhere" not in error.value.public
    assert f"127.0.0.1:{postgres.port}/nowhere" in error.value.private
    with pytest.raises(DatabaseUnavailable):
        check_reachable(north, DatabaseSettings(pysyft_database="postgresql://wanwu@127.0.0.1:1/north"))
    assert everything(north.path) == before


def test_a_wrong_password_is_said_and_not_repeated(north: StateFolder, postgres: Server, database: str) -> None:
    wrong = "wrong-horse-0815"
    write_password(north.path, wrong)
    with pytest.raises(DatabaseUnavailable) as error:
        check_reachable(north, settings(postgres, database))
    told = error.value.public + error.value.private + repr(error.value.__cause__)
    assert "password authentication failed" in told
    assert wrong not in told
    assert PASSWORD not in told


def test_a_password_file_that_others_may_read_is_refused(north: StateFolder, postgres: Server, database: str) -> None:
    write_password(north.path).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        check_reachable(north, settings(postgres, database))


def test_another_encoding_is_refused(north: StateFolder, postgres: Server, database: str) -> None:
    postgres.new_database(f"{database}l", encoding="LATIN1")
    with pytest.raises(DatabaseRefused, match="LATIN1, UTF8 is needed"):
        check_reachable(north, settings(postgres, f"{database}l"))


def test_a_role_that_may_not_make_tables_is_told_so(north: StateFolder, postgres: Server, database: str) -> None:
    postgres.run(f"ALTER DATABASE {database} OWNER TO postgres")
    with pytest.raises(DatabaseRefused) as error:
        settled(north, settings(postgres, database))
    assert "permission denied" in error.value.private


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_postgresql_could_keep_and_not_search_is_kept_nowhere(
    text: str, north: StateFolder, postgres: Server, database: str
) -> None:
    with pytest.raises(ValueError):
        tables.as_json({"text": text})
    keep_rows(north, "Request", {"one": {"text": text}})
    if "\0" not in text:
        return  # half a surrogate pair, spelt as an escape, is what PySyft's file may hold: see the next test
    with pytest.raises(DatabaseRefused, match="NUL"):
        settled(north, settings(postgres, database))
    assert kept_place(north) is None
    assert not (north.path / FILE).exists()


def test_a_backslash_before_a_u_is_no_nul(postgres: Server) -> None:
    assert tables.as_json({"text": "\\u0000"}) == '{"text": "\\\\u0000"}'


def test_reading_writes_nothing(north: StateFolder, postgres: Server, database: str) -> None:
    settled(north, settings(postgres, database))
    place = kept_place(north)
    assert place is not None
    with pytest.raises(WanwuError), reading(north, place.where, "") as opened, opened.cursor() as cursor:
        cursor.execute("DELETE FROM wanwu_datasite")
    with pytest.raises(psycopg2.errors.UndefinedTable):
        postgres.run("SELECT 1 FROM nothing", database)
    assert postgres.run("SELECT count(*) FROM wanwu_datasite", database) == [(1,)]


def test_a_damaged_row_on_its_way_is_refused_and_nothing_of_it_is_told(
    north: StateFolder, postgres: Server, database: str
) -> None:
    keep_rows(north, "User", {"ada": {"secret": "made-up 4711"}})
    with closing(sqlite3.connect(sqlite_file(north))) as opened, opened:
        opened.execute('UPDATE "User" SET fields = substr(fields, 1, length(fields) - 1)')
    with pytest.raises(WanwuError) as error:
        settled(north, settings(postgres, database))
    assert "4711" not in error.value.public + error.value.private
    with closing(sqlite3.connect(sqlite_file(north))) as opened, opened:
        opened.execute("""UPDATE "User" SET fields = CAST(fields || x'ff' AS TEXT)""")
    with pytest.raises(WanwuError) as error:
        settled(north, settings(postgres, database))
    assert "4711" not in error.value.public + error.value.private
