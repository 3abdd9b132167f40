"""State versions: older ones are migrated after a backup, newer ones are left alone."""

from __future__ import annotations

import errno
import inspect
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.books import as_before_seals, ledger_of, run_round

from datasites.approvals.approvals import Approvals, know_returned
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import read
from datasites.files.state_folder import StateFolder
from datasites.state import agreement
from datasites.state import identity as identities
from datasites.state.backup import latest
from datasites.state.backup_manifest import BackupManifest
from datasites.state.kept_books import open_audit
from datasites.state.lock import hold, is_running
from datasites.state.upgrading import migrations
from datasites.state.upgrading.migrations import MIGRATIONS, migrate_books
from datasites.state.upgrading.upgrade import upgrade
from datasites.state.version import STATE_VERSION, UPGRADING, check_version, read_version
from policies.errors import (
    AuditBroken,
    BackupRefused,
    BooksDisagree,
    ConfigError,
    StateVersionMismatch,
    WanwuError,
)
from policies.ledger.chain import Chain


def migrate(state: StateFolder, backups: Path) -> tuple[int, Path]:
    """The version that a state folder had, and the backup of it; its books then hold."""
    done = upgrade(state, backups)
    assert done.now == STATE_VERSION
    return done.before, done.backup


@pytest.fixture
def version_0(state: StateFolder) -> StateFolder:
    """A state folder as it was before there were versions: no version.json, no heads in the audit log."""
    as_before_seals(state)
    (state.path / "version.json").unlink()
    events = read(state.audit).entries
    state.audit.unlink()
    log = open_audit(state)
    for event in events:
        kept = {key: value for key, value in event.items() if key not in ("time", "event", "previous", "hash")}
        log.write(event["event"], **{key: kept[key] for key in kept if not key.startswith("ledger_")})
    return state


def test_a_new_state_folder_has_the_present_version(state: StateFolder) -> None:
    assert read_version(state.path) == STATE_VERSION == len(MIGRATIONS)
    check_version(state.path)


def test_version_0_is_refused_with_the_command_that_migrates_it(version_0: StateFolder) -> None:
    with pytest.raises(StateVersionMismatch, match="python -m datasites upgrade --backup FOLDER"):
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


def test_what_is_up_to_date_is_backed_up_as_it_was_asked_and_not_migrated(state: StateFolder, tmp_path: Path) -> None:
    entries, events = ledger_of(state).entries(), len(read(state.audit).entries)
    version, folder = migrate(state, tmp_path / "backups")
    assert (version, folder) == (STATE_VERSION, latest(tmp_path / "backups"))
    assert BackupManifest.read(folder).state_version == STATE_VERSION
    assert ledger_of(state).entries() == entries
    assert [event["event"] for event in read(state.audit).entries[events:]] == ["backup made"]


def test_books_that_do_not_hold_are_told_and_not_backed_up(state: StateFolder, tmp_path: Path) -> None:
    state.audit.write_bytes(state.audit.read_bytes().replace(b'"event"', b'"tnevE"', 1))
    with pytest.raises(AuditBroken):
        migrate(state, tmp_path / "backups")
    assert not (tmp_path / "backups").exists()


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
        with pytest.raises(ConfigError, match="being served"):
            migrate(version_0, tmp_path / "backups")
        assert not (tmp_path / "backups").exists()
        with pytest.raises(ConfigError, match="being served"):
            hold(version_0)
    finally:
        os.close(held)
    assert not is_running(version_0)
    migrate(version_0, tmp_path / "backups")
    assert latest(tmp_path / "backups")


# --- an upgrade that fails or is killed ------------------------------------------------------------------------


def _books(state: StateFolder) -> dict[str, bytes]:
    """All files of a state folder but the audit log, which a backup is noted in."""
    files = (file for file in state.path.rglob("*") if file.is_file())
    found = {file.relative_to(state.path).as_posix(): file.read_bytes() for file in files}
    return {name: content for name, content in found.items() if not name.startswith(("audit.", "serving.lock"))}


@pytest.mark.parametrize("at", ["migrating", "verifying"])
def test_an_upgrade_that_fails_leaves_the_books_as_they_were(
    version_0: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    before = _books(version_0)
    if at == "migrating":
        monkeypatch.setattr(migrations, "MIGRATIONS", (MIGRATIONS[0], MIGRATIONS[1], _disk_full))
    else:
        monkeypatch.setattr(agreement, "check", _disk_full)
    with pytest.raises(OSError, match="No space"):
        upgrade(version_0, tmp_path / "backups")
    assert _books(version_0) == before and read_version(version_0.path) == 0
    monkeypatch.undo()
    assert upgrade(version_0, tmp_path / "backups").before == 0
    agreement.check(version_0)


def _disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_upgrade_that_is_killed_at_any_moment_goes_on_and_is_served_by_nobody_until_then(
    version_1: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version_1.path / "store" / "large").parent.mkdir(exist_ok=True)
    (version_1.path / "store" / "large").write_bytes(b"pictures")
    moves, rename = 0, Path.rename
    for kill in range(1, 100):
        state = StateFolder(tmp_path / f"killed-{kill}" / version_1.name)
        shutil.copytree(version_1.path, state.path)
        moves = 0

        def killed(self: Path, target: Path, kill: int = kill) -> Path:
            nonlocal moves
            moves += UPGRADING in self.parts or UPGRADING in Path(target).parts
            if moves == kill:
                raise KeyboardInterrupt
            return rename(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", killed)
            try:
                upgrade(state, tmp_path / f"backups-{kill}")
            except KeyboardInterrupt:
                with pytest.raises(StateVersionMismatch, match=r"was interrupted|Upgrade it"):
                    check_version(state.path)
        if moves < kill:
            break
        done = upgrade(state, tmp_path / f"backups-{kill}-again")
        assert (done.now, (state.path / UPGRADING).exists()) == (STATE_VERSION, False)
        check_version(state.path)
        agreement.check(state)
        assert ledger_of(state).entries() == ledger_of(version_1).entries()
        assert (state.path / "store" / "large").read_bytes() == b"pictures"
        assert not any(file.is_symlink() for file in state.path.rglob("*"))
    assert kill > 10, "an upgrade moves more than ten entries"


def test_half_an_upgrade_that_cannot_be_read_is_left_for_people(version_1: StateFolder, tmp_path: Path) -> None:
    (version_1.path / UPGRADING).mkdir()
    (version_1.path / UPGRADING / "places.json").write_text("{")
    with pytest.raises(StateVersionMismatch, match="Restore the backup"):
        upgrade(version_1, tmp_path / "backups")


def test_what_a_killed_copy_left_is_made_anew_and_in_no_backup(version_1: StateFolder, tmp_path: Path) -> None:
    (version_1.path / UPGRADING).mkdir()
    (version_1.path / UPGRADING / "ledger.sqlite").write_text("half")
    with pytest.raises(StateVersionMismatch, match=r"was interrupted\. Run it again"):
        check_version(version_1.path)
    done = upgrade(version_1, tmp_path / "backups")
    assert done.backup and not (done.backup / UPGRADING).exists()
    check_version(version_1.path)


def test_each_migration_says_which_versions_it_joins() -> None:
    for version, migration in enumerate(MIGRATIONS):
        assert f"{version} to {version + 1}:" in (inspect.getdoc(migration) or "")


# --- 1 to 2: sealed books ------------------------------------------------------------------------------------


@pytest.fixture
def version_1(state: StateFolder) -> StateFolder:
    return as_before_seals(state)


def test_version_1_is_sealed_and_goes_on(version_1: StateFolder, tmp_path: Path) -> None:
    with pytest.raises(BooksDisagree):
        agreement.check(version_1)
    migrate(version_1, tmp_path / "backups")
    assert identities.load(version_1).books
    agreement.check(version_1)
    run_round(version_1, "one", 2)
    agreement.check(version_1)


def test_a_ledger_of_version_1_takes_rounds_that_start(version_1: StateFolder, tmp_path: Path) -> None:
    """Its table is made anew as it was before rounds were charged at their start."""
    entries = ledger_of(version_1).entries()
    with closing(sqlite3.connect(version_1.ledger)) as table:
        made_by = table.execute("SELECT sql FROM sqlite_schema WHERE name='entries'").fetchone()[0]
        older = made_by.replace("'start', ", "").replace("CREATE TABLE entries", "CREATE TABLE older")
        assert "'start'" not in older
        table.executescript(
            f"PRAGMA ignore_check_constraints = ON; {older}; INSERT INTO older SELECT * FROM entries;"
            "DROP TABLE main.entries; ALTER TABLE older RENAME TO entries;"
        )
    migrate(version_1, tmp_path / "backups")
    assert ledger_of(version_1).entries() == entries
    run_round(version_1, "one", 2)
    agreement.check(version_1)


def test_a_datasite_of_version_1_that_never_served_gets_its_empty_books(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "north")
    identities.load_or_create(state)
    as_before_seals(state)
    for book in state.books:
        book.unlink(missing_ok=True)
    (state.path / "config.toml").write_text('name = "north"')
    migrate(state, tmp_path / "backups")
    agreement.check(state)
    assert [event["event"] for event in read(state.audit).entries] == [
        "backup made",
        "state migrated",
        "state migrated",
    ]


@pytest.mark.parametrize("book", ["ledger", "approvals", "runs"])
def test_version_1_with_a_book_missing_is_not_sealed(version_1: StateFolder, tmp_path: Path, book: str) -> None:
    (version_1.syft / "pysyft.db").touch()  # it has served
    getattr(version_1, book).unlink()
    with pytest.raises(WanwuError):
        migrate(version_1, tmp_path / "backups")
    assert read_version(version_1.path) == 1 and not identities.load(version_1).books


def test_version_1_whose_ledger_lacks_a_study_is_not_sealed(version_1: StateFolder, tmp_path: Path) -> None:
    for path in version_1.path.glob("ledger.*"):
        path.unlink()
    Chain.begin(version_1.ledger, None)
    with pytest.raises(BooksDisagree) as refused:
        migrate(version_1, tmp_path / "backups")
    assert "the ledger has no reservation for it" in refused.value.private
    assert not identities.load(version_1).books


@pytest.mark.parametrize("last", ["the ledger's seal", "the audit log's seal", "what is last known"])
def test_sealing_that_was_interrupted_begins_again(
    version_1: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    stop = {
        "the ledger's seal": "datasites.audit_log.log.AuditLog.seal",
        "the audit log's seal": "datasites.state.last_known.write",
        "what is last known": "datasites.state.identity.save",
    }

    def power_fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stop[last], power_fails)
        with pytest.raises(KeyboardInterrupt):
            migrate_books(version_1, 1)  # as earlier programs did, in the folder itself
    migrate(version_1, tmp_path / "backups")
    agreement.check(version_1)


def test_a_log_that_was_cut_between_two_tries_is_not_sealed(
    version_1: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("datasites.state.last_known.write", power_fails)
        with pytest.raises(KeyboardInterrupt):
            migrate_books(version_1, 1)
    lines = version_1.audit.read_text().splitlines(keepends=True)
    version_1.audit.write_text("".join(lines[:-1]))
    with pytest.raises(AuditBroken):
        migrate(version_1, tmp_path / "backups")


def test_an_approval_that_an_older_restore_left_behind_is_ended(version_1: StateFolder, tmp_path: Path) -> None:
    ledger_of(version_1).release("one", "The study ended.")
    migrate(version_1, tmp_path / "backups")
    agreement.check(version_1)


# --- 2 to 3: requests that are returned or withdrawn -----------------------------------------------------------


def test_the_decisions_of_version_2_are_kept_and_take_the_new_ones(tmp_path: Path) -> None:
    file = tmp_path / "approvals.sqlite"
    Approvals(file).close()
    decision = ("r", "denied", *["x"] * 11)
    with closing(sqlite3.connect(file)) as table, table:
        (sql,) = table.execute("SELECT sql FROM sqlite_master WHERE name='decisions'").fetchone()
        table.execute("DROP TABLE decisions")
        table.execute(sql.replace(" 'returned', 'withdrawn',", ""))
        table.execute(f"INSERT INTO decisions VALUES ({','.join('?' * len(decision))})", decision)
    for _ in range(2):  # it may be repeated after a crash
        know_returned(file)
    approvals = Approvals(file)
    kept = approvals.of_request("r")
    assert kept is not None and tuple(vars(kept).values()) == decision
    approvals.record(replace(kept, request_id="s", decision="withdrawn"))
    approvals.close()
