"""Backups: whole or not there, private, cheap to repeat, and their ledger is never behind the rest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest
from support.books import ACCOUNT, approve, ledger_of, run_round

from datasites.audit_log.chain import read, verify
from datasites.files.state_folder import StateFolder
from datasites.runs.local_parts.kept_parts import LocalParts, file_name
from datasites.state import backup
from datasites.state.backup import back_up, latest
from datasites.state.backup_manifest import MANIFEST, BackupManifest
from datasites.state.kept_books import open_ledger
from policies.contracts.weights import canonical_bytes
from policies.errors import AuditBroken, BackupRefused, LedgerBroken


def test_a_backup_holds_what_a_datasite_needs_and_nothing_that_is_made_anew(state: StateFolder, tmp_path: Path) -> None:
    made = back_up(state, tmp_path / "backups")
    tops = {name.split("/")[0] for name in made.manifest.files}
    assert {"config.toml", "version.json", "identity", "store", "ledger.sqlite", "ledger.head"} <= tops
    assert {"audit.log", "approvals.sqlite", "runs.sqlite", "blobs"} <= tops
    assert not tops & {"logs", "scratch", "ledger.lock", "ledger.reserving"}
    assert {path.name for path in made.folder.iterdir()} == tops | {MANIFEST}
    made.manifest.verify(made.folder)


def test_what_an_unfinished_ingest_has_kept_is_not_backed_up(state: StateFolder, tmp_path: Path) -> None:
    work = state.store / ".more.reading"
    work.mkdir(mode=0o700)
    (work / "images.npy").write_bytes(b"pixels")
    made = back_up(state, tmp_path / "backups")
    assert not [name for name in made.manifest.files if "reading" in name]


def test_a_backup_is_for_its_own_account_only(state: StateFolder, tmp_path: Path) -> None:
    made = back_up(state, tmp_path / "backups")
    for path in (made.folder, *made.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_its_manifest_names_the_heads_of_both_chains(state: StateFolder, tmp_path: Path) -> None:
    head = verify(state.audit)
    manifest = back_up(state, tmp_path / "backups").manifest
    entries = ledger_of(state).entries()
    assert (manifest.ledger_entries, manifest.ledger_head) == (5, entries[-1].hash)
    assert (manifest.audit_entries, manifest.audit_head) == (head.entries, head.hash)
    last = read(state.audit).entries[-1]
    assert (last["event"], last["ledger_head"]) == ("backup made", entries[-1].hash)


def test_a_second_backup_shares_what_did_not_change_with_the_first(state: StateFolder, tmp_path: Path) -> None:
    first = back_up(state, tmp_path / "backups")
    run_round(state, "one", 2)
    second = back_up(state, tmp_path / "backups")
    images = "store/pictures/images.npy"
    assert (first.folder / images).stat().st_ino == (second.folder / images).stat().st_ino
    assert (state.path / images).stat().st_ino != (first.folder / images).stat().st_ino
    assert second.linked >= 5
    assert (first.manifest.ledger_entries, second.manifest.ledger_entries) == (5, 7)
    for made in (first, second):
        made.manifest.verify(made.folder)
    assert latest(tmp_path / "backups") == second.folder


def test_the_last_backup_is_the_one_made_last_also_where_the_clock_was_put_back(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that was a day ahead for one backup: restoring it later would lose all that was spent in that day."""

    class Ahead(datetime):
        off = timedelta(days=1)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + cls.off

    monkeypatch.setattr(backup, "datetime", Ahead)
    made = [back_up(state, tmp_path / "backups").folder]
    for hours in (0, -1, 36):
        Ahead.off = timedelta(hours=hours)
        made.append(back_up(state, tmp_path / "backups").folder)
        assert latest(tmp_path / "backups") == made[-1]
    assert sorted(made) == made
    told = [datetime.fromisoformat(BackupManifest.read(folder).made_at) for folder in made]
    assert told[1] < told[0], "the manifest tells what the clock said"


def test_a_damaged_file_of_the_last_backup_is_not_shared(state: StateFolder, tmp_path: Path) -> None:
    first = back_up(state, tmp_path / "backups")
    damaged = first.folder / "store/pictures/images.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    second = back_up(state, tmp_path / "backups")
    second.manifest.verify(second.folder)


def test_only_blobs_of_unfinished_studies_are_kept(state: StateFolder, tmp_path: Path) -> None:
    approve(state, "two", study="ended")
    update = run_round(state, "two", 0)
    with closing(sqlite3.connect(state.approvals)) as table, table:
        table.execute("UPDATE decisions SET decision='ended' WHERE request_id='two'")
    (state.blobs / ACCOUNT[:32] / ("f" * 64)).write_bytes(b"of no round")
    kept = {name for name in back_up(state, tmp_path / "backups").manifest.files if name.startswith("blobs/")}
    assert len(kept) == 4
    assert not any(update in name or "f" * 64 in name for name in kept)


def local_part(state: StateFolder, update: str, round_index: int) -> Path:
    """A file as a round's local part is kept in."""
    folder = LocalParts(state.local_parts, ledger_of(state)).of("one")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / file_name(round_index, update)
    file.write_bytes(canonical_bytes({"w": np.full(2, round_index, np.float32)}))
    return file


def test_local_parts_are_in_a_backup_and_nothing_of_rounds_that_did_not_complete(
    state: StateFolder, tmp_path: Path
) -> None:
    file = local_part(state, run_round(state, "one", 2), 2)
    file.with_name(".next-0123").write_bytes(b"of a round that was cut off")
    manifest = back_up(state, tmp_path / "backups").manifest
    held = [name for name in manifest.files if name.startswith("local-parts/")]
    assert held == [str(file.relative_to(state.path))]


def test_a_local_part_that_a_round_replaces_meanwhile_does_not_stop_the_backup(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = local_part(state, run_round(state, "one", 2), 2)
    digest_of = backup.digest_of

    def replaced(source: Path) -> str:
        if source == file:
            file.unlink(missing_ok=True)
        return digest_of(source)

    monkeypatch.setattr(backup, "digest_of", replaced)
    made = back_up(state, tmp_path / "backups")
    made.manifest.verify(made.folder)
    assert not [name for name in made.manifest.files if name.startswith("local-parts/")]


def test_a_blob_that_has_expired_is_counted_and_does_not_stop_the_backup(state: StateFolder, tmp_path: Path) -> None:
    next((state.blobs / ACCOUNT[:32]).iterdir()).unlink()
    assert back_up(state, tmp_path / "backups").manifest.missing_blobs == 1


def test_backups_taken_while_rounds_are_charged_know_each_round_that_they_name(
    state: StateFolder, tmp_path: Path
) -> None:
    """Rounds go on in another thread; in each copy every finished run must be in the ledger."""
    approve(state, "many", steps=60, rounds=60, study="many")
    stopping = threading.Event()

    def rounds() -> None:
        for index in range(60):
            if stopping.is_set():
                return
            run_round(state, "many", index)

    working = threading.Thread(target=rounds)
    working.start()
    try:
        made = [back_up(state, tmp_path / "backups") for _ in range(4)]
    finally:
        stopping.set()
        working.join()
    for one in made:
        copy = tmp_path / "copy" / one.folder.name
        shutil.copytree(one.folder, copy)
        committed = {
            (request, index)
            for request, held in open_ledger(StateFolder(copy)).reservations().items()
            for index in held.committed
        }
        with closing(sqlite3.connect(copy / "runs.sqlite")) as table:
            done = set(table.execute("SELECT request_id, round FROM runs WHERE state='done'").fetchall())
        assert done <= committed
        named = max(int(event.get("ledger_entries", 0)) for event in read(copy / "audit.log").entries)
        assert named <= one.manifest.ledger_entries


def test_a_backup_within_the_state_folder_is_refused(state: StateFolder) -> None:
    with pytest.raises(BackupRefused, match="within the state folder"):
        back_up(state, state.path / "backups")


def test_a_ledger_that_does_not_hold_is_not_backed_up(state: StateFolder, tmp_path: Path) -> None:
    with closing(sqlite3.connect(state.ledger)) as table, table:
        table.execute("DROP TRIGGER entries_are_never_updated")
        table.execute("UPDATE entries SET body=replace(body, '1', '2') WHERE sequence=2")
    with pytest.raises(LedgerBroken):
        back_up(state, tmp_path / "backups")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".lock"]


def test_an_audit_log_that_does_not_hold_is_not_backed_up(state: StateFolder, tmp_path: Path) -> None:
    state.audit.write_text(state.audit.read_text().replace("started", "stopped"))
    with pytest.raises(AuditBroken):
        back_up(state, tmp_path / "backups")


def test_a_link_in_the_state_folder_is_refused_not_followed(state: StateFolder, tmp_path: Path) -> None:
    (state.path / "credentials" / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(BackupRefused, match="is a link"):
        back_up(state, tmp_path / "backups")


def test_a_full_disk_leaves_no_backup_and_the_next_one_is_whole(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []

    def full(source: object, target: object, length: int = 0) -> None:
        copied.append(source)
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(BackupRefused, match="No space left"):
        back_up(state, tmp_path / "backups")
    monkeypatch.undo()
    with pytest.raises(BackupRefused, match="holds no whole backup"):
        latest(tmp_path / "backups")
    made = back_up(state, tmp_path / "backups")
    made.manifest.verify(made.folder)


def test_what_an_interrupted_backup_left_is_no_backup_and_goes_with_the_next(
    state: StateFolder, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    whole = back_up(state, backups)
    shutil.copytree(whole.folder, backups / ".partial-0badcafe")
    assert latest(backups) == whole.folder
    back_up(state, backups)
    assert not (backups / ".partial-0badcafe").exists()


@pytest.mark.parametrize("fault", ["cut", "changed", "missing", "added", "manifest"])
def test_a_backup_that_was_torn_or_changed_is_recognised(state: StateFolder, tmp_path: Path, fault: str) -> None:
    folder = back_up(state, tmp_path / "backups").folder
    file = folder / "config.toml"
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:10])
    elif fault == "changed":
        file.write_text(file.read_text().replace("8081", "8082"))
    elif fault == "missing":
        file.unlink()
    elif fault == "added":
        (folder / "identity" / "more").write_text("")
    else:
        (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:-30])
    with pytest.raises(BackupRefused):
        BackupManifest.read(folder).verify(folder)


def test_a_manifest_whose_paths_lead_out_of_the_backup_is_refused(state: StateFolder, tmp_path: Path) -> None:
    folder = back_up(state, tmp_path / "backups").folder
    values = json.loads((folder / MANIFEST).read_text())
    values["files"]["../outside"] = values["files"]["config.toml"]
    (folder / MANIFEST).write_text(json.dumps(values))
    with pytest.raises(BackupRefused):
        BackupManifest.read(folder)
