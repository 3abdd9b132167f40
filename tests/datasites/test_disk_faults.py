"""A full, read-only or failing disk: what must be written down first is refused, and nothing on disk is corrupted."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.books import FINGERPRINT, LIMITS, ledger_of, run_round, tenth_a_step
from support.hospitals import ENVIRONMENT
from support.ledgers import SEAL, ledger_at
from support.open_files import room_for_files
from support.waiting import CEILING_SECONDS, wait_for

from datasites.approvals.approval import Approval
from datasites.audit_log.chain import read, verify
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.runs import supervisor as supervision
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.gpus import GpuLeases
from datasites.runs.queue import Run, RunQueue
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.supervisor import Supervisor
from datasites.state import identity
from datasites.state.kept_books import open_audit
from datasites.state.lost_spends import lost_books
from policies.budget.accountant import GaussianSteps
from policies.errors import (
    AuditUnavailable,
    BackupRefused,
    LedgerBroken,
    LedgerUnavailable,
    RequestPending,
    StorageUnavailable,
)
from policies.ledger.chain_errors import is_not_read
from policies.ledger.head_file import GENESIS, HeadBroken, HeadFile
from policies.ledger.ledger import Ledger

FILL_THE_LOG = """
import resource, sys
from pathlib import Path
from datasites.audit_log.log import AuditLog
from policies.errors import AuditUnavailable
from policies.ledger.seal import Seal
log = AuditLog.begin(Path(sys.argv[1]), Seal(b"s" * 32))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
written = 0
try:
    while written < 100:
        log.write("event", number=written)
        written += 1
except AuditUnavailable:
    print(written)
"""


def test_a_log_at_the_largest_size_a_file_may_have_refuses_and_holds(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_LOG, str(file)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
    )
    written = int(done.stdout)
    assert 0 < written < 100
    assert verify(file, SEAL).entries == written
    assert file.stat().st_size <= 4000
    AuditLog(file, SEAL).write("room again")
    assert verify(file, SEAL).entries == written + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this account may not mount a disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def reserve(ledger: Ledger, request: str) -> None:
    ledger.reserve(
        fingerprint=FINGERPRINT,
        dataset="pictures",
        request_id=request,
        study="study",
        researcher="ada@example.org",
        plan_digest="c" * 64,
        spend=(GaussianSteps(1.0, 0.1, 1),),
        rounds=1,
        limits=LIMITS,
    )


def test_a_full_disk_refuses_reservations_commits_and_events_and_breaks_none_of_the_books(small_disk: Path) -> None:
    ledger = ledger_at(small_disk / "ledger.sqlite", tenth_a_step)
    log = AuditLog.begin(small_disk / "audit.log", SEAL)
    reserve(ledger, "first")
    log.write("first")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(b"x" * 4096)
    with pytest.raises(AuditUnavailable):
        for _ in range(100):
            log.write("event")
    held = ["first"]
    with pytest.raises(LedgerUnavailable) as refused:
        for number in range(100):
            reserve(ledger, f"more-{number}")
            held.append(f"more-{number}")
    assert "Make room" in refused.value.private and "backup" not in refused.value.private
    filler.unlink()
    ledger.verify()
    assert list(ledger.reservations()) == held
    verify(small_disk / "audit.log", SEAL)
    reserve(ledger, "last")
    log.write("last")
    assert "last" in ledger.reservations()
    assert read(small_disk / "audit.log").entries[-1]["event"] == "last"


def test_a_ledger_that_cannot_be_read_for_a_full_disk_is_not_told_as_one_that_was_changed(small_disk: Path) -> None:
    """To read, SQLite makes a file beside the table."""
    ledger = ledger_at(small_disk / "ledger.sqlite", tenth_a_step)
    reserve(ledger, "first")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(b"x" * 4096)
    with pytest.raises(LedgerUnavailable):
        ledger_at(small_disk / "ledger.sqlite", tenth_a_step).verify()
    filler.unlink()
    (small_disk / "ledger.sqlite").unlink()
    with pytest.raises(LedgerBroken) as lost:
        ledger.verify()
    assert not isinstance(lost.value, LedgerUnavailable)


@pytest.mark.parametrize("more", range(7))
def test_books_that_cannot_be_read_now_are_not_told_as_changed_nor_to_be_restored(tmp_path: Path, more: int) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite", tenth_a_step)
    log = AuditLog.begin(tmp_path / "audit.log", SEAL)
    reserve(ledger, "first")
    log.write("first")
    entries, files = ledger.entries(), {name: (tmp_path / name).read_bytes() for name in ("audit.log", "audit.head")}
    errors: list[str] = []
    with room_for_files(more):
        for look in (
            ledger_at(tmp_path / "ledger.sqlite", tenth_a_step).verify,
            lambda: reserve(ledger_at(tmp_path / "ledger.sqlite", tenth_a_step), "second"),
            lambda: verify(tmp_path / "audit.log", SEAL),
            lambda: AuditLog(tmp_path / "audit.log", SEAL).write("second"),
            lambda: lost_books(tmp_path, entries, GENESIS, SEAL),
        ):
            try:
                look()
            except (AuditUnavailable, LedgerUnavailable, BackupRefused) as error:
                errors.append(error.private + error.public)
    assert errors or more > 3, "so few files are not enough for any of it"
    assert not [text for text in errors if "does not verify" in text or "does not hold" in text or "lost to" in text]
    ledger.verify()
    verify(tmp_path / "audit.log", SEAL)
    found = lost_books(tmp_path, entries, GENESIS, SEAL)
    assert found.ledger is not None and found.complete
    assert (tmp_path / "audit.log").read_bytes().startswith(files["audit.log"])


def test_an_identity_that_cannot_be_read_now_is_not_said_to_be_lost(state: StateFolder) -> None:
    with room_for_files(0), pytest.raises(StorageUnavailable, match="cannot be read now"):
        identity.load(state)
    identity.load(state)


def test_what_says_that_a_file_cannot_be_read_now_is_known_and_a_torn_table_is_not_among_it(tmp_path: Path) -> None:
    def of_sqlite(code: int) -> sqlite3.Error:
        error = sqlite3.OperationalError("it does not")
        error.sqlite_errorcode = code
        return error

    table = tmp_path / "table"
    for number in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EINTR):
        assert is_not_read(OSError(number, "no"))
    for number in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ELOOP):
        assert not is_not_read(OSError(number, "no"))
    assert is_not_read(of_sqlite(sqlite3.SQLITE_IOERR_READ))
    for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ):
        assert not is_not_read(of_sqlite(code), table)
    assert not is_not_read(of_sqlite(sqlite3.SQLITE_CANTOPEN), table), "it is missing"
    table.touch()
    assert is_not_read(of_sqlite(sqlite3.SQLITE_CANTOPEN), table)


def test_a_head_that_cannot_be_read_now_is_not_taken_for_one_of_another_datasite(tmp_path: Path) -> None:
    """As where an upgrade that was interrupted looks whether the books are sealed."""
    made = HeadFile(tmp_path / "ledger.head", "ledger", SEAL)
    made.begin()
    with room_for_files(0), pytest.raises(OSError, match="Too many open files"):
        made.read()
    (tmp_path / "ledger.head").unlink()
    with pytest.raises(HeadBroken):
        made.read()


def test_a_read_only_disk_refuses_and_is_still_readable(small_disk: Path) -> None:
    ledger = ledger_at(small_disk / "ledger.sqlite", tenth_a_step)
    log = AuditLog.begin(small_disk / "audit.log", SEAL)
    reserve(ledger, "first")
    log.write("first")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(AuditUnavailable):
        log.write("second")
    with pytest.raises(LedgerBroken):
        reserve(ledger, "second")
    assert verify(small_disk / "audit.log", SEAL).entries == 1
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    reserve(ledger, "second")
    assert set(ledger.reservations()) == {"first", "second"}


# --- a run's end on a disk that fails -----------------------------------------------------------------------------


class NoForkServer:
    """Starts nothing: the runs here were charged before, and are only to be handed out."""

    elsewhere = False

    def warm_up(self) -> None:
        pass

    def stop(self) -> None:
        pass


def nothing_to_train(run: Run) -> Approval:
    raise RequestPending("These runs were charged before; nothing is to be trained.")


@pytest.fixture
def waiting(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Supervisor, RunQueue]]:
    """A round that the ledger has charged and whose run waits in the queue, as after a crash between the two."""
    monkeypatch.setattr(supervision, "RETRY_SECONDS", 0.05)
    update = hashlib.sha256(b"update").hexdigest()
    ledger = ledger_of(state)
    spend = GaussianSteps(1.0, 0.1, 1)
    ledger.start(request_id="one", round_index=2, spend=spend, weights_digest="f" * 64)
    ledger.commit(request_id="one", round_index=2, update_digest=update)
    queue = RunQueue(state.runs)
    queue.enqueue(request_id="one", round_index=2, account="e" * 64, weights="f" * 64)
    made = Supervisor(
        queue=queue,
        blobs=BlobStore(state.blobs, limits=BlobLimits(max_bytes=1000)),
        ledger=ledger,
        audit=open_audit(state),
        decided=lambda request_id: None,
        approved=nothing_to_train,
        canary=lambda run, gpus, given_up: None,
        state=state,
        launcher=NoForkServer(),  # type: ignore[arg-type]
        limits=RunLimits(1 << 30, 60, 60, 8, 1000),
        gpus=GpuLeases(()),
        require_sandbox=False,
        max_update_bytes=1000,
    )
    yield made, queue
    made.stop()
    queue.close()


def found(queue: RunQueue) -> str:
    run = queue.find("one", 2)
    assert run
    return run.state


def test_an_update_is_not_handed_out_while_the_audit_log_cannot_be_written(
    state: StateFolder, waiting: tuple[Supervisor, RunQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, queue = waiting

    def runs_in_the_log() -> int:
        return sum(str(entry["event"]).startswith("run ") for entry in read(state.audit).entries)

    before, write = runs_in_the_log(), os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if b'"run ' in content:
            raise OSError(28, "No space left on device")
        return write(descriptor, content, offset)

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        supervisor.start()
        wait_for(lambda: found(queue) == "failed")
    run = queue.find("one", 2)
    assert run and run.code == "WW821" and run.update_digest == ""
    assert runs_in_the_log() == before
    queue.enqueue(request_id="one", round_index=2, account="e" * 64, weights="f" * 64)
    wait_for(lambda: found(queue) == "done")
    assert read(state.audit).entries[-1]["event"] == "run done"


def test_a_queue_that_cannot_be_written_is_tried_again_and_no_run_is_lost(
    state: StateFolder, waiting: tuple[Supervisor, RunQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, queue = waiting
    finish = queue.finish
    failed: list[object] = []

    def full(run_id: str, digest: str) -> None:
        if len(failed) < 3:
            failed.append(run_id)
            raise sqlite3.OperationalError("database or disk is full")
        finish(run_id, digest)

    monkeypatch.setattr(queue, "finish", full)
    supervisor.start()
    wait_for(lambda: found(queue) == "done")
    assert len(failed) == 3
    assert len(ledger_of(state).reservations()["one"].committed) == 3


def test_a_wall_clock_that_jumps_back_moves_neither_chain(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries follow each other by hash and number, not by time."""
    from datetime import UTC, datetime

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr("datasites.audit_log.log.datetime", Jumped)
    monkeypatch.setattr("policies.ledger.chain.datetime", Jumped)
    run_round(state, "one", 2)
    monkeypatch.undo()
    run_round(state, "one", 3)
    ledger_of(state).verify()
    assert len(ledger_of(state).reservations()["one"].committed) == 4
    verify(state.audit)
