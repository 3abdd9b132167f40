"""Backs up a state folder, its datasite running or not. A backup holds pictures and keys: it never leaves the hospital.

What is copied first may refer only to what is copied later, so that the copy never knows of a spend that its ledger
does not hold: PySyft and all files, then decisions, then the queue, its blobs, local parts, the audit log, and the
ledger last.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import policies
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import check_end, head_file, locked, verify
from datasites.files.private_file import write_private
from datasites.files.private_folder import sync_folder
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.place import FILE
from datasites.pysyft_database.portable import copy_rows
from datasites.pysyft_database.settling import MOVED
from datasites.state.backup_manifest import MANIFEST, BackedUpFile, BackupManifest, digest_of, name_after
from datasites.state.kept_books import open_audit, open_ledger, seal_of
from datasites.state.version import UPGRADING, read_version
from policies.errors import BackupRefused
from policies.ledger.chain import locked as only_one
from policies.ledger.head_file import GENESIS, Head

# Made anew at each start or ingest, or of no use elsewhere; or exact about patients: a page, a report, names of files.
LEFT_OUT_FOLDERS = ("scratch", "logs", "blobs", "local-parts", "kernels", "study-reports")
_CONSOLE_FILES = ("identity/console.json", "identity/console.html")
_MADE_ANEW = ("serving.lock", "audit-index.sqlite", "ingest-report.csv", "dataset.html", "composed-sums.jsonl")
# A rule that was switched off since a backup must not come back with it; and a backup has PySyft's rows as a file.
LEFT_OUT_FILES = (*_CONSOLE_FILES, *_MADE_ANEW, "rules.json", FILE)
LEFT_OUT_SUFFIXES = (MOVED, ".lock", ".new", ".reserving", "-wal", "-shm", "-journal")
_SQLITE = b"SQLite format 3\0"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class MadeBackup:
    """A finished backup; `linked` of its files are shared with the one before it."""

    folder: Path
    manifest: BackupManifest
    linked: int


@dataclass
class _Copying:
    state: StateFolder
    target: Path
    before: Path | None
    known: dict[str, BackedUpFile]
    files: dict[str, BackedUpFile] = field(default_factory=dict)
    linked: int = 0

    def add(self, source: Path) -> None:
        """Copies one file, or links to the last backup's where the bytes are the same."""
        name = str(source.relative_to(self.state.path))
        target = self.target / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_sqlite(source):
            write_ahead = _copy_sqlite(source, target)
            self.files[name] = BackedUpFile(digest_of(target), target.stat().st_size, write_ahead)
            return
        digest = digest_of(source)
        same = self.known.get(name)
        if self.before and same and same.sha256 == digest and digest_of(self.before / name) == digest:
            os.link(self.before / name, target)
            self.linked += 1
        else:
            _copy(source, target)
        self.files[name] = BackedUpFile(digest_of(target), target.stat().st_size)


def back_up(state: StateFolder, backups: Path) -> MadeBackup:
    """Writes a new backup into the folder of backups; files that did not change are hard links to the last one's.

    Guarantees:
        The backup appears whole or not at all. Its ledger and its audit log verify, and its ledger holds every spend
        that anything else in it knows of.

    Args:
        state: The state folder; its datasite may be running.
        backups: The folder for this datasite's backups, made with mode 0700 if it is new.

    Raises:
        BackupRefused: It cannot be written, or lies within the state folder, or the books are half upgraded.
        LedgerBroken, AuditBroken: A chain does not hold, or is missing; nothing is kept.
        DatabaseUnavailable, DatabaseRefused: PostgreSQL does not give PySyft's rows; nothing is kept.
    """
    if backups.resolve().is_relative_to(state.path.resolve()):
        raise BackupRefused("A backup within the state folder is none. Choose another folder, best on another disk.")
    if (state.path / UPGRADING).exists():
        raise BackupRefused(
            "An upgrade of the state folder is under way or was interrupted, and its books are of two versions. Finish "
            "it first: python -m datasites upgrade."
        )
    audit = open_audit(state)
    try:
        backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        with only_one(backups / ".lock"):
            made = _write(state, backups)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(f"The backup could not be written and none was kept: {error}.") from error
    manifest = made.manifest
    witness = ledger_witness.named(manifest.ledger_entries, manifest.ledger_head)
    audit.write("backup made", files=len(manifest.files), **witness)
    return made


def latest(backups: Path) -> Path:
    """The last whole backup in a folder of backups, or the folder itself if it is one.

    Raises:
        BackupRefused: There is none.
    """
    if (backups / MANIFEST).exists():
        return backups
    whole = sorted(path.parent for path in backups.glob(f"*/{MANIFEST}") if not path.parent.name.startswith("."))
    if not whole:
        raise BackupRefused(f"{backups} holds no whole backup. Give a folder that 'python -m datasites backup' wrote.")
    return whole[-1]


def _write(state: StateFolder, backups: Path) -> MadeBackup:
    for left in backups.glob(f"{_PARTIAL}*"):  # of a backup that was interrupted
        shutil.rmtree(left)
    before = latest(backups) if any(backups.glob(f"*/{MANIFEST}")) else None
    partial = backups / f"{_PARTIAL}{secrets.token_hex(4)}"
    partial.mkdir(mode=0o700)
    try:
        copying = _Copying(state, partial, before, BackupManifest.read(before).files if before else {})
        manifest = _copy_all(copying)
        write_private(partial / MANIFEST, manifest.to_json())
        _sync(partial)
        final = backups / name_after(before)
        partial.rename(final)
        sync_folder(backups)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return MadeBackup(final, manifest, copying.linked)


def _copy_all(copying: _Copying) -> BackupManifest:
    """Copies everything in the order that keeps the copy safe; see the module."""
    state = copying.state
    if rows := copy_rows(state, copying.target):
        copied = BackedUpFile(digest_of(rows), rows.stat().st_size, write_ahead=True)
        copying.files[str(rows.relative_to(copying.target))] = copied
    for source in _plain_files(state):
        if source not in state.books and str(source.relative_to(state.path)) not in copying.files:
            copying.add(source)
    for table in (state.approvals, state.runs):
        if table.exists():
            copying.add(table)
    missing = _add_blobs(copying)
    _add_local_parts(copying)
    audit = _add_audit(copying)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    entries, head = _add_ledger(copying)
    return BackupManifest(
        datasite=state.path.resolve().name,
        made_at=made_at,
        state_version=read_version(copying.target),
        program=policies.__version__,
        files=dict(sorted(copying.files.items())),
        ledger_entries=entries,
        ledger_head=head,
        audit_entries=audit[0],
        audit_head=audit[1],
        missing_blobs=missing,
    )


def _plain_files(state: StateFolder) -> list[Path]:
    """All files of a state folder but those that are made anew, in order."""
    found = []
    for path in sorted(state.path.rglob("*")):
        name = path.relative_to(state.path)
        if name.parts[0] in LEFT_OUT_FOLDERS or str(name) in LEFT_OUT_FILES:
            continue
        if any(part.startswith(".") for part in name.parts):
            continue
        if path.is_symlink():
            raise BackupRefused(f"{path} is a link; a backup holds plain files only. Put the file itself there.")
        if path.is_file() and not name.name.endswith(LEFT_OUT_SUFFIXES):
            found.append(path)
    return found


def _add_blobs(copying: _Copying) -> int:
    """Copies the blobs of studies that are approved and not ended; returns how many of them are not there any more."""
    missing = 0
    for account, digest in _needed_blobs(copying.target):
        here = [path for path in (copying.state.blobs / account[:32]).glob(f"{digest}*") if path.is_file()]
        missing += not here
        for path in here:
            if str(path.relative_to(copying.state.path)) not in copying.files:
                copying.add(path)
    return missing


def _add_local_parts(copying: _Copying) -> None:
    """Copies the local parts that are there; one that a round replaces meanwhile is left out, the next one is there.

    The ledger, which is copied later, may name a later round: then a restored study begins with the part before.
    """
    for part in sorted(copying.state.local_parts.glob("*/[!.]*")):
        try:
            copying.add(part)
        except (FileNotFoundError, BackupRefused):
            if part.exists():
                raise


def _needed_blobs(copied: Path) -> list[tuple[str, str]]:
    if not (copied / "runs.sqlite").exists() or not (copied / "approvals.sqlite").exists():
        return []
    with closing(sqlite3.connect(copied / "approvals.sqlite")) as table:
        live = {row[0] for row in table.execute("SELECT request_id FROM decisions WHERE decision='approved'")}
    with closing(sqlite3.connect(copied / "runs.sqlite")) as table:
        rows = table.execute("SELECT request_id, account, weights, update_digest FROM runs").fetchall()
    named = {(row[1], digest) for row in rows if row[0] in live for digest in row[2:] if digest}
    return sorted(named)


def _add_audit(copying: _Copying) -> tuple[int, str]:
    source, seal = copying.state.audit, seal_of(copying.state)
    if seal is None and not source.exists():
        return 0, GENESIS
    target = copying.target / source.name
    with locked(source, shared=True):
        _copy(source, target)
        end = verify(target)
        if seal is not None:
            check_end(source, end, seal)
            head_file(target, seal).begin(Head(end.entries, end.hash))
    target.with_suffix(".lock").unlink(missing_ok=True)
    for path in (target, target.with_suffix(".head")):
        if path.exists():
            copying.files[path.name] = BackedUpFile(digest_of(path), path.stat().st_size)
    return end.entries, end.hash


def _add_ledger(copying: _Copying) -> tuple[int, str]:
    source = copying.state.ledger
    if seal_of(copying.state) is None and not source.exists():
        return 0, GENESIS
    target = copying.target / source.name
    head = open_ledger(copying.state).copy_to(target)
    for path in (target, target.with_suffix(".head")):
        copying.files[path.name] = BackedUpFile(digest_of(path), path.stat().st_size, write_ahead=path == target)
    return head


def _is_sqlite(file: Path) -> bool:
    if file.is_symlink():
        return False
    with file.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


def _copy_sqlite(source: Path, target: Path) -> bool:
    """Copies a database that may be in use, by SQLite's online backup; returns whether it is in write-ahead mode."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=60)) as live:
        write_ahead = live.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        with closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            if copy.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise BackupRefused(f"{source} is damaged: SQLite's own check fails. Restore it from an older backup.")
    return write_ahead


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reading, open(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:  # noqa: PTH123
        shutil.copyfileobj(reading, out, 1 << 20)


def _sync(folder: Path) -> None:
    """Puts every file and folder of a finished copy on disk, and makes them private."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            path.chmod(0o700)
            sync_folder(path)
        else:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
