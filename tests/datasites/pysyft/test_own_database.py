"""PySyft's connections to PostgreSQL: no password in any text, an outage by its name, no row that ends a search."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
import support.imported_pysyft  # noqa: F401
from sqlalchemy.dialects import postgresql as types
from support.postgresql import PASSWORD, ROLE, Server, postgresql, write_password

from datasites.files.state_folder import StateFolder
from datasites.pysyft.own_database import OwnDatabase, engine_of
from datasites.pysyft_database import postgresql as postgresql_module
from datasites.pysyft_database.owner import take
from datasites.pysyft_database.place import Place
from policies.errors import DatabaseRefused, DatabaseUnavailable, RowUnreadable

COPY = "0" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as started:
        with closing(psycopg2.connect(started.new_database("north"), password=PASSWORD)) as opened, opened:
            take(opened, "0" * 32, COPY)
        yield started


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[Any]:
    write_password(tmp_path)
    made = engine_of(StateFolder(tmp_path), Place(server.address("north"), "", COPY))
    yield made
    made.dispose()


def test_no_text_of_a_connection_holds_the_password(engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    printed = io.StringIO()
    with caplog.at_level(logging.DEBUG), redirect_stdout(printed):
        database = OwnDatabase(engine, "0" * 32, None)
        with database.sessionmaker() as session:
            assert session.execute(sa.text("SELECT 1")).scalar() == 1
            with pytest.raises(sa.exc.ProgrammingError) as error:
                session.execute(sa.text("SELECT nothing"))
    texts = [caplog.text, printed.getvalue(), str(error.value), repr(engine), str(engine.url), repr(database.config)]
    assert [one for one in texts if PASSWORD in one] == []


def test_an_outage_has_its_name_and_the_next_call_after_it_goes_through(engine: Any, server: Server) -> None:
    with engine.connect() as opened:
        assert opened.execute(sa.text("SELECT 1")).scalar() == 1
        server.stop()
        with pytest.raises(DatabaseUnavailable):
            opened.execute(sa.text("SELECT 1"))
    with pytest.raises(DatabaseUnavailable), engine.connect():
        pass
    server.start()
    with engine.connect() as opened:
        assert opened.execute(sa.text("SELECT 1")).scalar() == 1


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", float("nan")])
def test_a_row_that_would_end_every_search_of_its_table_is_not_kept(text: object, engine: Any) -> None:
    table = sa.Table("searched", sa.MetaData(), sa.Column("fields", types.JSON))
    table.create(engine, checkfirst=True)
    with engine.begin() as opened:
        opened.execute(table.insert().values(fields={"text": "größer"}))
    with pytest.raises((ValueError, sa.exc.StatementError)), engine.begin() as opened:
        opened.execute(table.insert().values(fields={"text": text}))
    with engine.connect() as opened:
        found = opened.execute(sa.select(table.c.fields["text"].astext)).scalars().all()
    assert set(found) == {"größer"}


def test_what_postgresql_says_of_a_row_that_it_cannot_search_quotes_nothing_of_it(engine: Any) -> None:
    table = sa.Table("kept", sa.MetaData(), sa.Column("fields", types.JSON))
    table.create(engine, checkfirst=True)
    with engine.begin() as opened:
        opened.execute(sa.text("""INSERT INTO kept VALUES ('{"secret": "made-up 4711", "name": "a\\u0000"}')"""))
    with pytest.raises(RowUnreadable, match="'kept' cannot be read") as error, engine.connect() as opened:
        opened.execute(sa.select(table).where(table.c.fields["name"].astext == "a"))
    assert "4711" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("other", ["empty", "another copy", "two owners"])
def test_a_connection_that_is_made_anew_takes_no_other_database_of_that_name(
    other: str, engine: Any, server: Server
) -> None:
    with engine.connect() as opened:
        assert opened.execute(sa.text("SELECT 1")).scalar() == 1
    copies = {"empty": [], "another copy": ["1" * 32], "two owners": [COPY, COPY]}[other]
    with server.replaced("north"):
        if copies:
            server.run("CREATE TABLE wanwu_datasite (server_uid TEXT, copy TEXT)", "north")
            server.run(f"GRANT ALL ON wanwu_datasite TO {ROLE}", "north")
        for copy in copies:
            server.run(f"INSERT INTO wanwu_datasite VALUES ('{'0' * 32}', '{copy}')", "north")
        for _ in range(2):
            with pytest.raises(DatabaseRefused) as error, engine.connect():
                pass
            assert "north" not in error.value.public
    with engine.connect() as opened:
        assert opened.execute(sa.text("SELECT count(*) FROM wanwu_datasite")).scalar() == 1


def test_a_lock_of_somebody_elses_is_told_as_that(engine: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_module, "LOCK_MILLISECONDS", 1)
    server.run("CREATE TABLE IF NOT EXISTS locked (id int)", "north")
    server.run(f"GRANT ALL ON locked TO {ROLE}", "north")
    with closing(psycopg2.connect(server.address("north"), password=PASSWORD)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable, match="is locked by somebody") as error, engine.connect() as opened:
            opened.execute(sa.text("SELECT * FROM locked"))
    assert "end its transaction" in error.value.private and "Is the server running" not in error.value.private
    with engine.connect() as opened:
        assert opened.execute(sa.text("SELECT count(*) FROM locked")).scalar() == 0
