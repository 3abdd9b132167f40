"""Spends that came after a backup, as far as the lost state folder still shows them. They stay in the hospital.

A ledger restored from an older backup forgets what was spent since. Two things of the lost datasite remember it: its
own ledger, which then takes the backup's place, or its audit log, which names every approval and all that it reserved.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import GENESIS, AuditHead, Event, follow, read
from datasites.files.state_folder import StateFolder
from policies.budget.steps import GaussianSteps
from policies.errors import (
    AuditBroken,
    AuditUnavailable,
    BackupRefused,
    LedgerBroken,
    LedgerUnavailable,
    PlanError,
    WanwuError,
)
from policies.ledger import chain_errors
from policies.ledger.chain import Entry
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import Reservation
from policies.ledger.seal import Seal


@dataclass(frozen=True)
class LostBooks:
    """The books of a lost datasite that go on from a backup's.

    Attributes:
        ledger: Its ledger, if that holds and goes on from the backup's.
        audit: Its audit log's bytes, whole lines only, if they hold and go on from the backup's.
        approved: Every reservation that its audit log names; empty without one.
        complete: Whether both hold to their sealed ends, so that the ledger knows all that was spent. A ledger alone
            may be an older copy, and so is one that was halted.
    """

    ledger: Ledger | None = None
    audit: bytes | None = None
    approved: tuple[Reservation, ...] = ()
    complete: bool = False


def lost_books(lost: Path, ledger: tuple[Entry, ...], audit_head: str, seal: Seal | None) -> LostBooks:
    """Looks for the newest books in the folder of a lost datasite.

    Args:
        lost: Its state folder, or what is left of it.
        ledger: The backup's entries.
        audit_head: The hash of the backup's last event.
        seal: The datasite's, from the backup: the lost folder's own identity may be gone.

    Raises:
        BackupRefused: Neither its ledger nor its audit log holds and goes on from the backup's.
    """
    state = StateFolder(lost)
    newest = _ledger_that_goes_on(state.ledger, ledger, seal)
    audit = _audit_that_goes_on(state.audit, audit_head)
    if newest is None and audit is None:
        raise BackupRefused(
            f"Neither the ledger nor the audit log in {lost} holds and goes on from the backup's. Leave --lost out and "
            "say --accept_loss, knowing that what was approved after the backup is then not counted."
        )
    events = follow(io.BytesIO(audit), AuditHead()).entries if audit else ()
    if newest is not None and not _knows_all(newest, events):
        newest = None
    approved = tuple(_reservation(event) for event in events if "reserved" in event)
    behind = chain_errors.halted(state.ledger) is not None  # an older copy, which its own receipts have shown
    complete = newest is not None and audit is not None and not behind and _is_whole(state.audit, seal)
    return LostBooks(newest, audit, approved, complete)


def _ledger_that_goes_on(path: Path, entries: tuple[Entry, ...], seal: Seal | None) -> Ledger | None:
    ledger = Ledger(path, seal=seal)
    try:
        return ledger if path.exists() and ledger.entries()[: len(entries)] == entries else None
    except LedgerUnavailable as error:
        raise _not_read(path, error) from error
    except LedgerBroken:
        return None


def _knows_all(ledger: Ledger, events: tuple[Event, ...]) -> bool:
    """Whether a ledger holds every entry that the log names; one that does not is older than the log."""
    try:
        ledger_witness.check(ledger.entries(), events)
    except LedgerBroken:
        return False
    return True


def _is_whole(audit: Path, seal: Seal | None) -> bool:
    try:
        read(audit, lambda entry: False, seal)
    except AuditUnavailable as error:
        raise _not_read(audit, error) from error
    except AuditBroken:
        return False
    return True


def _audit_that_goes_on(path: Path, head: str) -> bytes | None:
    """The log's bytes, whether or not its end is sealed: all that it names is charged, and more never harms."""
    try:
        lines = read(path)
    except AuditUnavailable as error:
        raise _not_read(path, error) from error
    except AuditBroken:
        return None
    if not lines.entries or (head != GENESIS and head not in {entry["hash"] for entry in lines.entries}):
        return None
    return path.read_bytes()[: lines.head.size]


def _not_read(file: Path, error: WanwuError) -> BackupRefused:
    """A disk that does not give a book now is no reason to charge as if that book were lost."""
    return BackupRefused(
        f"{file} cannot be read now, and it may hold what nobody else knows. Look at its disk and restore again; where "
        "it stays so, copy what can be read of that folder to a disk that works, and name the copy with --lost.",
        private=error.private,
    )


def _reservation(event: Event) -> Reservation:
    try:
        body = json.loads(str(event["reserved"]))
        values = {**body, "request_id": event["request"], "fingerprint": event["fingerprint"]}
        spend = tuple(GaussianSteps(**part) for part in values.pop("spend"))
        return Reservation(**values, spend=spend)
    except (ValueError, LookupError, TypeError, PlanError) as error:
        raise BackupRefused(
            "The lost audit log names an approval that this version cannot read. Use the version that wrote it.",
            private=repr(error),
        ) from error
