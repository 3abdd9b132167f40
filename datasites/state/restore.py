"""Makes a state folder from a backup, without letting anything be spent twice. It stays in the hospital.

A backup's ledger does not know what was spent after it was made. So the hospital says which of three things holds:
nothing was (a planned move); the lost folder still has books that know it; or nobody knows. In the two latter cases
every study that the backup's ledger holds open is closed with its whole reservation charged for good, since some of its
rounds may have run and would run again. With the lost ledger itself, and the lost audit log that names its end, that is
not needed: it knows each round.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from datasites.approvals.approvals import end_released
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import AuditHead, follow, head_file
from datasites.files.state_folder import StateFolder
from datasites.state.backup import latest
from datasites.state.backup_manifest import BackupManifest, digest_of
from datasites.state.kept_books import open_audit, open_ledger, read_audit, seal_of
from datasites.state.lost_spends import LostBooks, lost_books
from datasites.state.version import refuse_newer
from policies.errors import BackupRefused, WanwuError
from policies.ledger import chain_errors
from policies.ledger.head_file import Head
from policies.ledger.ledger import Ledger

REASON = "The hospital restored its datasite from a backup. What was reserved stays charged; submit the study again."


class Since(Enum):
    """What is known of the time between the backup and now."""

    NOTHING = "nothing was done since"
    LOST_BOOKS = "the lost state folder tells"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        state: The new state folder.
        manifest: The backup's manifest.
        ledger_entries: How many entries the new ledger has.
        closed: Studies that were open in the backup and stay charged in full, as `researcher: study`.
        recharged: Approvals after the backup that the lost audit log named and that are charged in full.
        newer_ledger: Whether the lost folder's own ledger took the place of the backup's.
    """

    state: StateFolder
    manifest: BackupManifest
    ledger_entries: int
    closed: tuple[str, ...]
    recharged: int
    newer_ledger: bool


def restore(backup: Path, target: Path, *, since: Since, lost: Path | None = None) -> Restored:
    """Writes a new state folder from a backup.

    Guarantees:
        The folder appears whole or not at all, every file with the digest that the backup states, the ledger and the
        audit log verified. Nothing that exists is overwritten. What the new ledger charges is at least what the
        backup's did, and a round that may have run is never run again under the same charge. With a lost folder, nobody
        on its list of who withdrew is in the next version, or taken by a later ingest.

    Args:
        backup: A backup, or a folder of backups, of which the last is taken.
        target: The state folder to make; must not exist, or be empty.
        since: What is known of the time since the backup.
        lost: What is left of the state folder that was lost; with `Since.LOST_BOOKS`.

    Raises:
        BackupRefused: The backup is torn or changed, the folder holds something, or nobody said what was spent since.
        StateVersionMismatch: A newer program made it.
        LedgerBroken, AuditBroken: A chain of the backup does not hold.
    """
    folder = latest(backup)
    manifest = BackupManifest.read(folder)
    refuse_newer(manifest.state_version, f"The backup {folder}")
    _refuse_existing(target, manifest)
    if since is Since.NOTHING and chain_errors.halted(folder / StateFolder(folder).ledger.name) is not None:
        raise BackupRefused(
            "The backup is of books that were an older copy, which a receipt has shown: something was spent that they "
            "do not know. Say --lost with the newer state folder, or --accept_loss where there is none."
        )
    manifest.verify(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
    try:
        state = StateFolder(partial)
        _copy(folder, state, manifest)
        books = _check_books(state, manifest, lost if since is Since.LOST_BOOKS else None)
        if lost is not None:
            _bring_withdrawn(state, StateFolder(lost))
        restored = _settle(state, manifest, since, books)
        for path in (*partial.rglob("*"), partial):
            path.chmod(0o700 if path.is_dir() else 0o600)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(f"The state folder could not be written and was not kept: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Restored(StateFolder(target), manifest, *restored)


def _refuse_existing(target: Path, manifest: BackupManifest) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    there = "something else"
    if (target / "ledger.sqlite").exists():
        try:
            count = len(open_ledger(StateFolder(target)).entries())
            there = f"a datasite whose ledger has {count} entries, the backup's has {manifest.ledger_entries}"
        except WanwuError:
            there = "a datasite whose ledger does not verify"
    raise BackupRefused(
        f"{target} holds {there}. A restore never overwrites: what was spent there would be forgotten. Move it aside, "
        "restore, and name it with --lost, so that what its books still know is charged."
    )


def _copy(folder: Path, state: StateFolder, manifest: BackupManifest) -> None:
    state.create()
    for name, entry in manifest.files.items():
        target = state.path / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / name).open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        if digest_of(target) != entry.sha256:
            raise BackupRefused(f"{name} did not arrive as the backup has it. Check the disk.")
        if entry.write_ahead:
            with closing(sqlite3.connect(target)) as table:
                table.execute("PRAGMA journal_mode = WAL")


def _check_books(state: StateFolder, manifest: BackupManifest, lost: Path | None) -> LostBooks:
    """Verifies both chains, and takes what a lost folder's books know beyond them."""
    seal = seal_of(state)
    head = read_audit(state, lambda entry: False).head
    if (head.entries, head.hash) != (manifest.audit_entries, manifest.audit_head):
        raise BackupRefused("The backup's audit log is not the one that its manifest names. Take another backup.")
    if seal is None and not manifest.ledger_entries and not state.ledger.exists():
        return LostBooks()
    ledger = open_ledger(state)
    if ledger.head() != (manifest.ledger_entries, manifest.ledger_head):
        raise BackupRefused("The backup's ledger is not the one that its manifest names. Take another backup.")
    if lost is None:
        return LostBooks()
    books = lost_books(lost, ledger.entries(), head.hash, seal)
    if books.audit is not None:
        state.audit.write_bytes(books.audit)
        if seal is not None:
            end = follow(io.BytesIO(books.audit), AuditHead()).head
            head_file(state.audit, seal).write(Head(end.entries, end.hash))
    if books.ledger is not None:
        for path in (state.ledger, state.ledger.with_suffix(".head")):
            path.unlink()
        books.ledger.copy_to(state.ledger)
        _bring_updates(state, lost)
    return books


def _bring_updates(state: StateFolder, lost: Path) -> None:
    """Brings the updates that the newer ledger has charged and the backup lacks, to be handed out again, and the local
    parts that belong to them."""
    open_ones = [held for held in open_ledger(state).reservations().values() if held.released is None]
    charged = {done.update_digest for held in open_ones for done in held.committed.values()}
    for source in (lost / "blobs").glob("*/*"):
        target = state.blobs / source.parent.name / source.name
        if source.name in charged and not target.exists() and digest_of(source) == source.name:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(source, target)
    for part in StateFolder(lost).local_parts.glob("*/[!.]*"):
        target = state.local_parts / part.parent.name / part.name
        if part.stem.partition("-")[2] in charged and not target.exists() and not part.is_symlink():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(part, target)


def _bring_withdrawn(state: StateFolder, lost: StateFolder) -> None:
    """Keeps out who withdrew after the backup: adds the lost folder's list to the backup's.

    Raises:
        BackupRefused: It cannot be read: nobody can tell who withdrew since.
    """
    if not lost.withdrawn.exists():
        return
    try:
        found = [json.loads(one.withdrawn.read_bytes()) for one in (lost, state) if one.withdrawn.exists()]
        both = {name: sorted({mark for listed in found for mark in listed[name]}) for name in ("patients", "sources")}
    except (ValueError, TypeError, LookupError) as error:
        raise BackupRefused(
            "The lost folder's list of patients who withdrew cannot be read. Move its withdrawn.json aside, restore, "
            "and take those patients out again."
        ) from error
    state.withdrawn.write_text(json.dumps(both, indent=1) + "\n", encoding="ascii")


def _settle(
    state: StateFolder, manifest: BackupManifest, since: Since, books: LostBooks
) -> tuple[int, tuple[str, ...], int, bool]:
    """Charges what may have been spent since, and writes all of it to the audit log."""
    newer = books.ledger is not None
    closed: tuple[str, ...] = ()
    recharged, witness = 0, {}
    known = since is Since.NOTHING or (books.complete and _holds_what_was_missing(state))
    chain_errors.resume(state.ledger)
    if state.ledger.exists():
        ledger = open_ledger(state)
        recharged = ledger.recharge(books.approved)
        if not known:
            closed = _close_open_studies(state, ledger)
        if state.approvals.exists():
            end_released(state.approvals, ledger.reservations())
        witness = ledger_witness.head_of(ledger)
    open_audit(state).write(
        ledger_witness.RESTORED,
        backup_made_at=manifest.made_at,
        backup_ledger_entries=manifest.ledger_entries,
        since=since.value,
        newer_ledger=newer,
        closed="; ".join(closed),
        recharged=recharged,
        **{ledger_witness.SETTLED: not known},
        **witness,
    )
    entries = witness.get(ledger_witness.ENTRIES, 0)
    return int(entries), closed, recharged, newer


def _holds_what_was_missing(state: StateFolder) -> bool:
    """Whether the ledger holds the round that the backup's was seen to lack; yes where it was not."""
    missing = chain_errors.halted(state.ledger)
    if missing is None:
        return True
    held = open_ledger(state).held(str(missing.get("request")))
    ends = {} if held is None else {index + 1: done.update_digest for index, done in held.committed.items()}
    return (missing.get("round"), missing.get("update")) in ends.items()


def _close_open_studies(state: StateFolder, ledger: Ledger) -> tuple[str, ...]:
    """Ends every open study without releasing what it reserved: it stays charged in full, for good."""
    open_ones = {key: held for key, held in ledger.reservations().items() if held.released is None}
    if state.approvals.exists():
        with closing(sqlite3.connect(state.approvals)) as table, table:
            table.execute("UPDATE decisions SET decision='ended', reason=? WHERE decision='approved'", (REASON,))
    if state.runs.exists():
        with closing(sqlite3.connect(state.runs)) as table, table:
            table.execute(
                "UPDATE runs SET state='cancelled', reason=?, version=version+1 WHERE state IN ('queued', 'running')",
                (REASON,),
            )
    return tuple(f"{held.researcher}: {held.study}" for held in open_ones.values())
