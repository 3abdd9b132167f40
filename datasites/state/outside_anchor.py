"""Receipts as an anchor outside the hospital: they show books that were rewritten by somebody who has the key.

A receipt that has left is signed and out of reach. It states each round of a study, and the hash of the audit log's
entry that was its end then; that entry names the ledger's end. What the hospital still has, or gets back from
researchers, is compared with the books. What is found stays in the hospital.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasites.audit_log.ledger_witness import ENTRIES, HEAD
from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities
from datasites.state.kept_books import open_ledger, read_audit
from policies.errors import ConfigError, ReceiptInvalid
from policies.ledger.chain import Entry
from policies.ledger.receipt import Receipt, public_key, verify
from policies.ledger.reservations import NOTHING_LEFT, Reservation, reservations

PATTERN = "*.receipt.json"


@dataclass(frozen=True)
class ComparedReceipt:
    """One receipt beside the books.

    Attributes:
        file: Where it lies.
        told: What it is of, or why it says nothing.
        missing: What it states and the books do not hold; empty where they agree.
        own: Whether this datasite signed it.
    """

    file: Path
    told: str
    missing: tuple[str, ...] = ()
    own: bool = True


def find_receipts(places: Sequence[Path]) -> list[Path]:
    """The receipts among files and in folders, by name.

    Raises:
        ConfigError: There is none.
    """
    found = [file for place in places for file in (sorted(place.rglob(PATTERN)) if place.is_dir() else [place])]
    if not found:
        raise ConfigError(f"No {PATTERN} in {', '.join(map(str, places))}. Give receipts, or a folder that holds some.")
    return found


def compare(state: StateFolder, files: Sequence[Path]) -> Iterator[ComparedReceipt]:
    """Compares receipts with the books, one after the other.

    Guarantees:
        A receipt of this datasite is found to agree only if the audit log holds the entry that it names, the ledger
        that this entry names is the beginning of the ledger, and every round that it states is charged there with the
        same update and the same noise, sample rate and steps.

    Raises:
        LedgerBroken, AuditBroken: A chain does not hold.
    """
    key = public_key(bytes.fromhex(identities.load(state).signing_seed))
    events = {str(event["hash"]): event for event in read_audit(state).entries}
    entries = open_ledger(state).entries()
    held = reservations(entries)
    for file in files:
        try:
            receipt = verify(file.read_bytes(), key)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
        except ReceiptInvalid as error:
            yield ComparedReceipt(file, f"not this datasite's, or changed: {error.public}", own=False)
            continue
        told = f"{receipt.study} of {receipt.researcher}, {len(receipt.rounds)} rounds, issued {receipt.issued_at}"
        missing = (*_unanchored(receipt, events, entries), *_uncharged(receipt, held.get(receipt.request_id)))
        yield ComparedReceipt(file, told, missing)


def _unanchored(receipt: Receipt, events: Mapping[str, Mapping[str, Any]], entries: Sequence[Entry]) -> Iterator[str]:
    event = events.get(receipt.audit_head)
    if event is None:
        yield "the audit log does not hold the entry that it names: it was rewritten, or is an older copy"
        return
    count = int(event.get(ENTRIES, 0))  # before state version 2, the entry did not name the ledger
    if count and (count > len(entries) or entries[count - 1].hash != event[HEAD]):
        yield "the ledger is not the one that stood when it was issued: it was rewritten, or is an older copy"


def _uncharged(receipt: Receipt, reservation: Reservation | None) -> Iterator[str]:
    if reservation is None:
        yield "the ledger knows nothing of its request"
        return
    for entry in receipt.rounds:
        charged = reservation.rounds_charged.get(entry.round)
        # A receipt of a round that had only started knows of no update yet.
        known = entry.update_digest == NOTHING_LEFT or (charged and charged.update_digest == entry.update_digest)
        if charged is None or charged.spend != entry.spend or not known:
            yield f"the ledger has not charged its round {entry.round + 1}, or charged another"
