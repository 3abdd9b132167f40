"""State versions: older ones are migrated after a backup, newer ones are left alone."""

from __future__ import annotations

import inspect
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from books import ledger_of, run_round

from datasites import ledger_witness, migrations
from datasites.audit import AuditLog
from datasites.audit_chain import read
from datasites.backup import latest
from datasites.backup_manifest import BackupManifest
from datasites.identity import StateFolder
from datasites.migrations import MIGRATIONS, migrate
from datasites.running import hold, is_running
from datasites.state_version import STATE_VERSION, check_version, read_version, write_version
from policies.errors import BackupRefused, ConfigError, LedgerBroken, StateVersionMismatch
from policies.steps import GaussianSteps


@pytest.fixture
def version_0(state: StateFolder) -> StateFolder:
    """A state folder as it was before there were versions: no version.json, no heads in the audit log."""
    (state.path / "version.json").unlink()
    events = read(state.audit).entries
    state.audit.unlink()
    log = AuditLog(state.audit)
    for event in events:
        kept = {key: value for key, value in event.items() if key not in ("time", "event", "previous", "hash")}
        log.write(event["event"], **{key: kept[key] for key in kept if not key.startswith("ledger_")})
    return state


def test_a_new_state_folder_has_the_present_version(state: StateFolder) -> None:
    assert read_version(state.path) == STATE_VERSION == len(MIGRATIONS)
    check_version(state.path)


def test_version_0_is_refused_with_the_command_that_migrates_it(version_0: StateFolder) -> None:
    with pytest.raises(StateVersionMismatch, match="python -m datasites migrate --backup FOLDER"):
        check_version(version_0.path)


def test_version_0_is_backed_up_then_brought_to_the_present(version_0: StateFolder, tmp_path: Path) -> None:
    entries = ledger_of(version_0).entries()
    before, folder = migrate(version_0, tmp_path / "backups")
    assert before == 0
    check_version(version_0.path)
    assert folder and BackupManifest.read(folder).state_version == 0
    assert ledger_of(version_0).entries() == entries
    named = [event for event in read(version_0.audit).entries if event["event"] == "ledger's head first named"]
    assert [event["ledger_entries"] for event in named] == [len(entries)]
    assert ledger_witness.check(entries, read(version_0.audit).entries) == 0


def test_a_ledger_of_version_1_takes_rounds_that_start(state: StateFolder, tmp_path: Path) -> None:
    """Its table is made anew as it was before rounds were charged at their start."""
    with closing(sqlite3.connect(state.ledger)) as table:
        made_by = table.execute("SELECT sql FROM sqlite_schema WHERE name='entries'").fetchone()[0]
        table.executescript(
            "CREATE TEMP TABLE kept AS SELECT * FROM entries WHERE kind = 'reserve'; DROP TABLE main.entries;"
            f"{made_by.replace(chr(39) + 'start' + chr(39) + ', ', '')}; INSERT INTO main.entries SELECT * FROM kept;"
        )
    head = {"count": 1, "hash": ""}
    with closing(sqlite3.connect(state.ledger)) as table:
        head["hash"] = table.execute("SELECT hash FROM entries").fetchone()[0]
    state.ledger.with_suffix(".head").write_text(json.dumps(head))
    state.audit.unlink()
    AuditLog(state.audit).write("datasite started")
    write_version(state.path, 1)
    entries = ledger_of(state).entries()
    with pytest.raises(LedgerBroken):
        run_round(state, "one", 2)
    migrate(state, tmp_path / "backups")
    assert ledger_of(state).entries() == entries
    state.runs.unlink()
    run_round(state, "one", 2)
    assert ledger_of(state).spent("one") == (GaussianSteps(1.0, 0.1, 1),)


def test_migrating_what_is_up_to_date_does_nothing(state: StateFolder, tmp_path: Path) -> None:
    before = state.audit.read_bytes()
    assert migrate(state, tmp_path / "backups") == (STATE_VERSION, None)
    assert state.audit.read_bytes() == before and not (tmp_path / "backups").exists()


def test_a_migration_that_was_interrupted_goes_on(
    version_0: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(state: StateFolder) -> None:
        MIGRATIONS[0](state)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "MIGRATIONS", (interrupted,))
    with pytest.raises(KeyboardInterrupt):
        migrate(version_0, tmp_path / "backups")
    assert read_version(version_0.path) == 0
    monkeypatch.undo()
    migrate(version_0, tmp_path / "backups")
    check_version(version_0.path)


def test_without_a_backup_nothing_is_migrated(version_0: StateFolder) -> None:
    before = version_0.audit.read_bytes()
    with pytest.raises(BackupRefused):
        migrate(version_0, version_0.path / "within")
    assert read_version(version_0.path) == 0 and version_0.audit.read_bytes() == before


def test_a_state_of_a_newer_version_is_left_alone(state: StateFolder, tmp_path: Path) -> None:
    (state.path / "version.json").write_text(json.dumps({"state_version": STATE_VERSION + 1}))
    before = state.audit.read_bytes()
    for work in (lambda: check_version(state.path), lambda: migrate(state, tmp_path / "backups")):
        with pytest.raises(StateVersionMismatch, match="Install the program that wrote it"):
            work()
    assert state.audit.read_bytes() == before and not (tmp_path / "backups").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"state_version": "1"}', '{"state_version": true}', "[1]"])
def test_a_version_that_cannot_be_read_is_refused(state: StateFolder, text: str) -> None:
    (state.path / "version.json").write_text(text)
    with pytest.raises(StateVersionMismatch, match="cannot be read"):
        check_version(state.path)


def test_a_running_datasite_is_not_migrated(version_0: StateFolder, tmp_path: Path) -> None:
    held = hold(version_0)
    try:
        assert is_running(version_0)
        with pytest.raises(ConfigError, match="is running"):
            migrate(version_0, tmp_path / "backups")
        with pytest.raises(ConfigError, match="being served"):
            hold(version_0)
    finally:
        os.close(held)
    assert not is_running(version_0)
    migrate(version_0, tmp_path / "backups")
    assert latest(tmp_path / "backups")


def test_each_migration_says_which_versions_it_joins() -> None:
    for version, migration in enumerate(MIGRATIONS):
        assert f"{version} to {version + 1}:" in (inspect.getdoc(migration) or "")
