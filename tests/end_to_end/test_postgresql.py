"""A hospital whose PySyft keeps its rows in PostgreSQL: a study, a restart, a server that goes and comes, moves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import (
    Hospital,
    admin_command,
    make_hospital,
    running,
    small_plan,
    write_pictures,
)
from support.postgresql import PASSWORD, Server, postgresql, write_password
from support.rounds import train_round

from policies.errors import DatabaseRefused, DatabaseUnavailable, WanwuError
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as started:
        yield started


@pytest.fixture(scope="module")
def west(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Hospital]:
    """A hospital with PostgreSQL from its first start."""
    folder = tmp_path_factory.mktemp("west")
    write_pictures(folder / "pictures.npz", sites=("west",))
    hospital = make_hospital(folder, "west", folder / "pictures.npz")
    hospital.configure(pysyft_database=server.new_database("west"))
    write_password(hospital.state)
    with running(hospital):
        yield hospital


@pytest.fixture(scope="module")
def study(west: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that west has approved."""
    folder = tmp_path_factory.mktemp("study")
    with Federation.connect(west.credentials()) as connected:
        made = Study.submit(connected, small_plan(connected, study="governed"), folder / "study")
        west.admin("approve", made.requests["west"].request_id)
    return folder / "study"


def round_of(hospital: Hospital, study: Path, index: int) -> dict[str, Any]:
    with Federation.connect(hospital.credentials()) as connected:
        return train_round(Study.load(connected, study), index, "west")


def said_in_vain(hospital: Hospital) -> str:
    """What a start that ends with an error says in the hospital's log."""
    log = hospital.state / "logs" / "datasite.log"
    before = log.stat().st_size
    assert hospital.serve_in_vain().returncode == 1
    return log.read_bytes()[before:].decode()


def problems(hospital: Hospital) -> list[dict[str, str]]:
    found = json.loads(hospital.admin("doctor", "--json", check=False).stdout)
    return [one for one in found if one["level"] == "problem" and one["check"] not in ("sandbox", "processes")]


def test_a_round_of_a_study_goes_through_and_no_row_is_in_the_state_folder(west: Hospital, study: Path) -> None:
    assert round_of(west, study, 0)["state"] == "done"
    assert list(west.state.rglob("*_json.db*")) == []
    assert problems(west) == []


def test_a_server_that_goes_away_costs_nothing_and_needs_no_restart(
    west: Hospital, study: Path, server: Server
) -> None:
    before = west.ledger_entries()
    with Federation.connect(west.credentials()) as connected:
        asked = Study.load(connected, study)
        server.stop(signal.SIGQUIT)  # as if its machine had gone
        with pytest.raises(WanwuError) as error:
            train_round(asked, 0, "west")
        assert DatabaseUnavailable.code in f"{error.value.code} {error.value.public}"
        with pytest.raises(WanwuError) as error:
            Federation.connect(west.credentials())
        assert DatabaseUnavailable.code in f"{error.value.code} {error.value.public}"
        assert "127.0.0.1" not in error.value.public
        assert west.ledger_entries() == before
        server.start()
        assert train_round(asked, 0, "west")["state"] == "done"
    assert west.ledger_entries() == before


@pytest.mark.parametrize("whose", ["empty", "another copy"])
def test_nothing_is_served_or_charged_from_another_database_of_that_name(
    whose: str, west: Hospital, study: Path, server: Server
) -> None:
    before = west.ledger_entries()
    with Federation.connect(west.credentials()) as connected:
        asked = Study.load(connected, study)
        with server.replaced("west"):
            if whose == "another copy":
                server.copy_of("west_before", "west")
                another = "translate(copy, '0123456789abcdef', '123456789abcdef0')"  # whatever the copy's digits are
                server.run(f"UPDATE wanwu_datasite SET copy = {another}", "west")
            for call in (lambda: train_round(asked, 1, "west"), lambda: Federation.connect(west.credentials())):
                with pytest.raises(WanwuError) as error:
                    call()
                assert DatabaseRefused.code in f"{error.value.code} {error.value.public}"
            refused = west.admin("doctor", "--json", check=False).stdout
            assert DatabaseRefused.code in refused
            tables = server.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "west")
            assert (tables == [(0,)]) == (whose == "empty")
        assert west.ledger_entries() == before
        assert train_round(asked, 0, "west")["state"] == "done"
    assert west.ledger_entries() == before


def test_a_restart_finds_what_was_there_and_one_without_the_server_says_so(
    west: Hospital, study: Path, server: Server
) -> None:
    west.stop()
    server.stop()
    before = {one: one.stat().st_mtime_ns for one in west.state.rglob("*") if one.suffix in (".sqlite", ".json")}
    assert DatabaseUnavailable.code in said_in_vain(west)
    assert any(DatabaseUnavailable.code in one["text"] for one in problems(west))
    assert {one: one.stat().st_mtime_ns for one in before} == before
    server.start()
    west.configure(pysyft_database="")
    assert any("config.toml says none" in one["text"] for one in problems(west))
    west.configure(pysyft_database=server.address("west"))
    west.start(forked=True)
    west.wait_until_ready()
    assert round_of(west, study, 0)["state"] == "done"


def test_a_row_that_was_removed_by_hand_is_found_before_anything_is_served(
    west: Hospital, study: Path, server: Server
) -> None:
    west.stop()
    server.run('CREATE TABLE kept AS SELECT * FROM "Request"', "west")
    server.run('DELETE FROM "Request"', "west")
    try:
        assert "WW830" in said_in_vain(west)
        assert any("PySyft's database does not know it" in one["text"] for one in problems(west))
    finally:
        server.run('INSERT INTO "Request" SELECT * FROM kept', "west")
        server.run("DROP TABLE kept", "west")
    west.start(forked=True)
    west.wait_until_ready()


def test_a_backup_goes_on_in_the_state_folder_and_from_there_in_another_database(
    west: Hospital, study: Path, server: Server, tmp_path: Path
) -> None:
    west.admin("backup", str(tmp_path / "first"))
    west.stop()
    _moved(west, tmp_path / "first", "in-the-folder", pysyft_database="")
    assert round_of(west, study, 0)["state"] == "done"
    assert len(list((west.state / "syft").rglob("*_json.db"))) == 1
    assert problems(west) == []
    west.admin("backup", str(tmp_path / "second"))
    west.stop()
    _moved(west, tmp_path / "second", "back-again", pysyft_database=server.new_database("again"))
    assert list((west.state / "syft").rglob("*_json.db")) == []
    assert round_of(west, study, 1)["state"] == "done"
    assert problems(west) == []


def _moved(hospital: Hospital, backup: Path, name: str, **settings: str) -> None:
    """Restores a backup as a planned move, with other settings, and starts it."""
    target = hospital.state.parent / name
    admin_command("restore", str(backup), "--state", str(target), "--nothing_since")
    hospital.state = target
    hospital.configure(**settings)
    hospital.start(forked=True)
    hospital.wait_until_ready()


def test_the_password_stands_in_its_file_alone(west: Hospital, server: Server) -> None:
    """The last test of this file: by now servers came and went, and starts failed."""
    west.stop()
    folder = west.state.parent
    found = [one for one in folder.rglob("*") if one.is_file() and PASSWORD.encode() in one.read_bytes()]
    assert {one.name for one in found} == {"database-password"}
    commands = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    assert not any(PASSWORD.encode() in one for one in commands)
