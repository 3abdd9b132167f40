"""Restoring: what comes back, what stays charged, and that no round is paid for once and run twice."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from support import versioned
from support.books import ACCOUNT, approve, ledger_of, run_round

from datasites.approvals.approvals import Approvals
from datasites.assets.store import open_store
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import read, verify
from datasites.datasets.removal import finish_withdrawals, remove_patients
from datasites.files.state_folder import StateFolder
from datasites.runs.local_parts.kept_parts import LocalParts, file_name
from datasites.runs.queue import RunQueue
from datasites.state import agreement
from datasites.state.backup import MadeBackup, back_up
from datasites.state.kept_books import open_audit, seal_of
from datasites.state.restore import Since, restore
from policies.budget.accountant import GaussianSteps
from policies.contracts.weights import canonical_bytes
from policies.errors import BackupRefused, LedgerBroken, StateVersionMismatch
from policies.ledger.chain import Chain


@pytest.fixture
def made(state: StateFolder, tmp_path: Path) -> MadeBackup:
    """Study one has run 2 of 4 rounds."""
    return back_up(state, tmp_path / "backups")


def decision(state: StateFolder, request: str) -> str | None:
    approvals = Approvals(state.approvals)
    found = approvals.of_request(request)
    approvals.close()
    return found.decision if found else None


def charged(state: StateFolder) -> int:
    return sum(part.steps for part in ledger_of(state).history("a" * 64))


def test_a_planned_move_brings_everything_back_and_goes_on(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    done = restore(tmp_path / "backups", tmp_path / "new", since=Since.NOTHING)
    assert ledger_of(done.state).entries() == ledger_of(state).entries()
    assert decision(done.state, "one") == "approved"
    open_store(done.state.store / "pictures").verify()
    assert (done.state.identity / "datasite.json").read_text() == (state.identity / "datasite.json").read_text()
    run_round(done.state, "one", 2)
    ledger_witness.check(ledger_of(done.state).entries(), read(done.state.audit).entries)


def test_what_is_restored_is_for_its_own_account_only(made: MadeBackup, tmp_path: Path) -> None:
    done = restore(made.folder, tmp_path / "new", since=Since.NOTHING)
    for path in (done.state.path, *done.state.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_restored_folder_shares_no_file_with_the_backup(made: MadeBackup, tmp_path: Path) -> None:
    done = restore(made.folder, tmp_path / "new", since=Since.NOTHING)
    for name in made.manifest.files:
        assert (done.state.path / name).stat().st_ino != (made.folder / name).stat().st_ino
    made.manifest.verify(made.folder)


def test_where_nobody_knows_every_open_study_is_closed_and_stays_charged_in_full(
    made: MadeBackup, tmp_path: Path
) -> None:
    done = restore(made.folder, tmp_path / "new", since=Since.UNKNOWN)
    assert done.closed == ("ada@example.org: pneumonia",)
    assert decision(done.state, "one") == "ended"
    assert charged(done.state) == 4
    assert ledger_of(done.state).reservations()["one"].released is None
    event = read(done.state.audit).entries[-1]
    assert (event["event"], event["since"], event["closed"]) == (
        "restored from a backup",
        "not known",
        "ada@example.org: pneumonia",
    )


def test_a_waiting_run_of_a_closed_study_does_not_start_again(state: StateFolder, tmp_path: Path) -> None:
    queue = RunQueue(state.runs)
    queue.enqueue(request_id="one", round_index=2, account="e" * 64, weights="f" * 64)
    queue.close()
    back_up(state, tmp_path / "backups")
    done = restore(tmp_path / "backups", tmp_path / "new", since=Since.UNKNOWN)
    queue = RunQueue(done.state.runs)
    assert not queue.waiting()
    run = queue.find("one", 2)
    assert run and run.state == "cancelled" and "restored" in run.reason
    queue.close()


def test_the_lost_ledger_itself_takes_the_backups_place_and_studies_go_on(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    update = run_round(state, "one", 2)
    approve(state, "two", steps=3, study="later")
    damaged = state.blobs / ACCOUNT[:32] / run_round(state, "one", 3)
    damaged.write_bytes(b"a broken disk")
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=state.path)
    assert (done.state.blobs / ACCOUNT[:32] / update).exists()
    assert not (done.state.blobs / ACCOUNT[:32] / damaged.name).exists()
    assert done.newer_ledger and done.recharged == 0 and done.closed == ()
    assert ledger_of(done.state).entries() == ledger_of(state).entries()
    assert ledger_of(done.state).committed("one", 2) is not None
    assert decision(done.state, "one") == "approved"
    assert charged(done.state) == 7


def test_a_study_goes_on_from_the_local_part_of_its_last_round_after_a_restore(
    state: StateFolder, tmp_path: Path
) -> None:
    """The one of the lost folder where that is there; else the newest in the backup, though the ledger has a later."""

    def keep(index: int) -> Path:
        folder = LocalParts(state.local_parts, ledger_of(state)).of("one")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / file_name(index, run_round(state, "one", index))
        file.write_bytes(canonical_bytes({"w": np.full(2, index, np.float32)}))
        return file

    def last(folder: StateFolder) -> list[float]:
        part = LocalParts(folder.local_parts, ledger_of(folder)).last("one", {"w": (2,)})
        assert part is not None
        return [float(value) for value in part["w"]]

    keep(2)
    made = back_up(state, tmp_path / "backups")
    assert last(restore(made.folder, tmp_path / "moved", since=Since.NOTHING).state) == [2, 2]
    newer = keep(3)
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=state.path)
    assert done.newer_ledger and last(done.state) == [3, 3]
    assert {stat.S_IMODE(path.stat().st_mode) for path in done.state.local_parts.rglob("*.safetensors")} == {0o600}
    newer.unlink()
    older = restore(made.folder, tmp_path / "older", since=Since.LOST_BOOKS, lost=state.path)
    assert older.newer_ledger and last(older.state) == [2, 2]


def test_without_the_lost_ledger_its_audit_log_charges_what_was_approved_since(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    run_round(state, "one", 2)
    approve(state, "two", steps=3, study="later")
    run_round(state, "two", 0)
    before = verify(state.audit)
    state.ledger.write_bytes(b"a broken disk")
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=state.path)
    assert done.recharged == 1 and not done.newer_ledger
    assert done.closed == ("ada@example.org: pneumonia", "ada@example.org: later")
    assert charged(done.state) == 4 + 3
    assert ledger_of(done.state).history("a" * 64, request_id="two") == (GaussianSteps(1.0, 0.1, 3),)
    assert read(done.state.audit).head.entries == before.entries + 1
    ledger_witness.check(ledger_of(done.state).entries(), read(done.state.audit).entries)


@pytest.mark.parametrize("gone", ["audit.log", "audit.head"])
def test_a_lost_ledger_without_the_end_of_its_audit_log_is_taken_and_its_open_studies_are_charged_in_full(
    state: StateFolder, made: MadeBackup, tmp_path: Path, gone: str
) -> None:
    """It may be an older copy: nothing that is left names its end."""
    run_round(state, "one", 2)
    approve(state, "two", steps=3, study="later")
    (state.path / gone).unlink()
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=state.path)
    assert done.newer_ledger
    assert done.closed == ("ada@example.org: pneumonia", "ada@example.org: later")
    assert charged(done.state) == 7
    assert ledger_of(done.state).committed("one", 2) is not None
    agreement.check(done.state)


def test_a_study_that_ended_after_the_backup_is_ended_after_a_restore_with_the_lost_books(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    ledger = ledger_of(state)
    ledger.release("one", "the study ended")
    open_audit(state).write("request ended", request="one", **ledger_witness.head_of(ledger))
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=state.path)
    assert decision(done.state, "one") == "ended"
    agreement.check(done.state)


@pytest.mark.parametrize("since", list(Since))
def test_what_is_restored_agrees_with_itself_and_runs_on(
    state: StateFolder, made: MadeBackup, tmp_path: Path, since: Since
) -> None:
    run_round(state, "one", 2)
    lost = state.path if since is Since.LOST_BOOKS else None
    done = restore(made.folder, tmp_path / "new", since=since, lost=lost)
    agreement.check(done.state)
    if since is not Since.UNKNOWN:
        run_round(done.state, "one", 3)
        agreement.check(done.state)


def test_a_lost_ledger_that_is_older_than_its_audit_log_is_not_taken(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(made.folder, older)
    run_round(state, "one", 2)
    shutil.copy(state.audit, older / "audit.log")
    done = restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=older)
    assert not done.newer_ledger and done.closed == ("ada@example.org: pneumonia",)


@pytest.mark.parametrize("lost", ["nothing there", "another datasite's", "older"])
def test_books_that_do_not_go_on_from_the_backups_are_not_taken(
    state: StateFolder, made: MadeBackup, tmp_path: Path, drawn: Path, lost: str
) -> None:
    from support.books import make_state

    folder = tmp_path / "lost"
    if lost == "another datasite's":
        approve(make_state(folder, drawn), "one")
    elif lost == "older":
        restored = restore(made.folder, folder, since=Since.NOTHING).state
        made = back_up(_with_one_more_round(state), tmp_path / "later")
        restored.audit.write_text("".join(restored.audit.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(BackupRefused, match="Neither the ledger nor the audit log"):
        restore(made.folder, tmp_path / "new", since=Since.LOST_BOOKS, lost=folder)
    assert not (tmp_path / "new").exists()


def _with_one_more_round(state: StateFolder) -> StateFolder:
    run_round(state, "one", 2)
    return state


def test_a_restore_over_a_newer_ledger_is_refused_and_changes_nothing(
    state: StateFolder, made: MadeBackup, tmp_path: Path
) -> None:
    run_round(state, "one", 2)
    entries = ledger_of(state).entries()
    for since in Since:
        with pytest.raises(BackupRefused, match="has 7 entries, the backup's has 5"):
            restore(made.folder, state.path, since=since)
    assert ledger_of(state).entries() == entries


def test_a_torn_backup_is_refused_and_leaves_no_state_folder(made: MadeBackup, tmp_path: Path) -> None:
    images = made.folder / "store/pictures/images.npy"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(BackupRefused, match="has other bytes"):
        restore(made.folder, tmp_path / "new", since=Since.NOTHING)
    assert not [path for path in tmp_path.iterdir() if "new" in path.name]


def test_a_backup_of_a_newer_state_is_refused(state: StateFolder, tmp_path: Path) -> None:
    (state.path / "version.json").write_text('{"state_version": 999}')
    made = back_up(state, tmp_path / "backups")
    with pytest.raises(StateVersionMismatch, match="version 999"):
        restore(made.folder, tmp_path / "new", since=Since.NOTHING)


def test_a_full_disk_leaves_no_half_of_a_state_folder(
    made: MadeBackup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(BackupRefused, match="No space left"):
        restore(made.folder, tmp_path / "new", since=Since.NOTHING)
    assert not [path for path in tmp_path.iterdir() if "new" in path.name]


# --- the audit log as the ledger's witness --------------------------------------------------------------------


def test_an_older_ledger_put_in_place_by_hand_is_noticed(state: StateFolder, made: MadeBackup) -> None:
    run_round(state, "one", 2)
    for name in ("ledger.sqlite", "ledger.head"):
        for suffix in ("-wal", "-shm"):
            (state.path / f"{name}{suffix}").unlink(missing_ok=True)
        shutil.copy(made.folder / name, state.path / name)
    ledger_of(state).verify()
    with pytest.raises(LedgerBroken) as refused:
        ledger_witness.check(ledger_of(state).entries(), read(state.audit).entries)
    assert "knows 7 entries, the ledger has 5" in refused.value.private


def test_a_ledger_written_anew_as_a_whole_is_noticed(state: StateFolder) -> None:
    for path in state.path.glob("ledger.*"):
        path.unlink()
    Chain.begin(state.ledger, seal_of(state))
    ledger = ledger_of(state)
    from support.books import FINGERPRINT, LIMITS

    for number in range(3):
        ledger.reserve(
            fingerprint=FINGERPRINT,
            dataset="pictures",
            request_id=f"cheap-{number}",
            study="cheap",
            researcher="ada@example.org",
            plan_digest="c" * 64,
            spend=(GaussianSteps(1.0, 0.1, 1),),
            rounds=1,
            limits=LIMITS,
        )
    ledger.verify()
    with pytest.raises(LedgerBroken) as refused:
        ledger_witness.check(ledger.entries(), read(state.audit).entries)
    assert "rewritten" in refused.value.private


def test_an_entry_that_a_crash_kept_from_the_log_is_counted_not_refused(state: StateFolder) -> None:
    ledger_of(state).release("one", "ended")
    assert ledger_witness.check(ledger_of(state).entries(), read(state.audit).entries) == 1
    open_audit(state).write("request ended", **ledger_witness.head_of(ledger_of(state)))
    assert ledger_witness.check(ledger_of(state).entries(), read(state.audit).entries) == 0


def test_all_versions_of_a_dataset_and_who_withdrew_come_back_and_studies_keep_theirs(tmp_path: Path) -> None:
    before = versioned.make_state(tmp_path / "versions")
    first = versioned.take(before, versioned.pictures_of(versioned.people(*range(12))))
    versioned.reserve(before, "waits", first, steps=1)
    remove_patients(before, "pictures", ["p3"], least=10)
    back_up(before, tmp_path / "backups")
    done = restore(tmp_path / "backups", tmp_path / "new", since=Since.NOTHING).state
    assert versioned.numbers_in(versioned.newest(done)) == set(range(12)) - {3}
    assert open_store(done.store / "pictures").manifest == first
    assert ledger_of(done).reservations()["waits"].dataset_version == 1
    again = versioned.take(done, versioned.pictures_of(versioned.people(3, 12)))
    assert (again.num_units, again.budget_key) == (12, first.fingerprint)


@pytest.mark.parametrize("left", ["the list", "the log"])
def test_who_withdrew_after_the_backup_stays_out_by_what_is_left_of_the_lost_folder(tmp_path: Path, left: str) -> None:
    before = versioned.make_state(tmp_path / "versions")
    first = versioned.take(before, versioned.pictures_of(versioned.people(*range(12))))
    versioned.reserve(before, "waits", first, steps=1)
    back_up(before, tmp_path / "backups")
    remove_patients(before, "pictures", ["p3"], least=10)
    if left == "the log":
        before.withdrawn.unlink()
    else:
        before.audit.unlink()
    done = restore(tmp_path / "backups", tmp_path / "new", since=Since.LOST_BOOKS, lost=before.path).state
    assert 3 in versioned.numbers_in(versioned.newest(done))  # as the backup has it, until the datasite starts
    assert finish_withdrawals(done, "pictures", least=10) == 2
    assert versioned.numbers_in(versioned.newest(done)) == set(range(12)) - {3}
    assert versioned.take(done, versioned.pictures_of(versioned.people(3, 12))).num_units == 12
    assert versioned.numbers_in(versioned.newest(done)) == set(range(13)) - {3}


def test_who_withdrew_by_the_audit_log_alone_is_taken_by_no_ingest_before_the_next_start(tmp_path: Path) -> None:
    before = versioned.make_state(tmp_path / "versions")
    versioned.take(before, versioned.pictures_of(versioned.people(*range(12))))
    remove_patients(before, "pictures", ["p3"], least=10)
    before.withdrawn.unlink()
    versioned.take(before, versioned.pictures_of(versioned.people(3, 12)))
    assert versioned.numbers_in(versioned.newest(before)) == set(range(13)) - {3}


def test_a_lost_list_of_who_withdrew_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    before = versioned.make_state(tmp_path / "versions")
    versioned.take(before, versioned.pictures_of(versioned.people(*range(12))))
    versioned.reserve(before, "waits", versioned.newest(before).manifest, steps=1)
    back_up(before, tmp_path / "backups")
    for content in ("{", "[]", "7", '{"patients": 7}'):
        before.withdrawn.write_text(content)
        with pytest.raises(BackupRefused, match="patients who withdrew cannot be read"):
            restore(tmp_path / "backups", tmp_path / "new", since=Since.LOST_BOOKS, lost=before.path)
        assert not (tmp_path / "new").exists()


def test_what_an_interrupted_version_left_aside_is_in_no_backup(tmp_path: Path) -> None:
    before = versioned.make_state(tmp_path / "versions")
    versioned.take(before, versioned.pictures_of(versioned.people(*range(12))))
    aside = before.store / ".pictures@2.partial"
    aside.mkdir()
    (aside / "images.npy").write_bytes(b"half")
    made = back_up(before, tmp_path / "backups")
    assert not [name for name in made.manifest.files if "@2" in name]
