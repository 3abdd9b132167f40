"""The audit log as a witness of the ledger: it names the ledger's head at every decision and every charged round.

Rewriting the ledger's files, or putting an older copy in their place, then shows. Both stay in the hospital.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from policies.errors import LedgerBroken
from policies.ledger.chain import Entry
from policies.ledger.head_file import GENESIS
from policies.ledger.ledger import Ledger

ENTRIES, HEAD = "ledger_entries", "ledger_head"
SETTLED = "settled"
RESTORED = "restored from a backup"  # this event names the head anew: what was named before it was lost, and it says so


def head_of(ledger: Ledger) -> dict[str, str | int]:
    """The details of an audit event that name the ledger's head as it is now."""
    return named(*ledger.head())


def named(entries: int, head: str) -> dict[str, str | int]:
    """The details of an audit event that name this head."""
    return {ENTRIES: entries, HEAD: head}


def is_witness(event: Mapping[str, Any]) -> bool:
    """Whether an audit event says something of the ledger's head."""
    return ENTRIES in event or event.get("event") == RESTORED


def last_settled(events: Iterable[Mapping[str, Any]]) -> datetime | None:
    """When the last restore was that charged in full what it could not know; None where there was none."""
    times = [str(event["time"]) for event in events if event.get("event") == RESTORED and event.get(SETTLED) is True]
    return datetime.fromisoformat(times[-1]) if times else None


def check(ledger: Sequence[Entry], events: Iterable[Mapping[str, Any]]) -> int:
    """Compares a verified ledger with every head that a verified audit log names, since its last restore.

    Returns:
        How many of the ledger's last entries the log does not know of: none, or as many as rounds were just being
        charged when a crash came. More say that the log's end is missing.

    Raises:
        LedgerBroken: The ledger has lost, or has others than, the entries that the log names.
    """
    known = 0
    for event in _since_restored(events):
        if ENTRIES not in event:
            continue
        count = int(event[ENTRIES])
        found = GENESIS if count == 0 else ledger[count - 1].hash if count <= len(ledger) else None
        if found is None:
            raise _broken(f"the audit log knows {count} entries, the ledger has {len(ledger)}: an older copy")
        if found != event[HEAD]:
            raise _broken(f"entry {count} is not the one that the audit log names: the ledger was rewritten")
        known = max(known, count)
    return len(ledger) - known


def _since_restored(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kept: list[Mapping[str, Any]] = []
    for event in events:
        if event.get("event") == RESTORED:
            kept.clear()
        kept.append(event)
    return kept


def _broken(what: str) -> LedgerBroken:
    return LedgerBroken(
        "The hospital's privacy ledger does not verify; every run is refused. Ask the hospital's admin.",
        private=f"{what}. Bring back the ledger that the audit log knows; see docs/how-to-back-up-and-restore.md.",
    )
