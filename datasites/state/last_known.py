"""Lengths of a datasite's books at its last start or stop, kept sealed in its identity. They stay there.

Each book witnesses another, so an older copy of one shows. Older copies of all of them would agree with each other;
they do not reach what is written here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasites.audit_log.log import AuditLog
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from policies.errors import BooksDisagree
from policies.ledger.ledger import Ledger
from policies.ledger.seal import Seal

PUBLIC = (
    "The hospital's books do not agree with each other, or one is missing: nothing is served. Ask the hospital's admin."
)
_PURPOSE = "last known books"


@dataclass(frozen=True)
class LastKnown:
    """What only grows.

    Attributes:
        ledger_entries: How many entries the ledger had; with `ledger_head`, the last one's hash.
        ledger_head: 64 hexadecimal digits.
        audit_entries: How many events the audit log had; with `audit_head`, the last one's hash.
        audit_head: 64 hexadecimal digits.
        decisions: How many requests were decided on.
        ended: How many of them have ended.
        queue_changes: How often a run in the queue changed.
    """

    ledger_entries: int
    ledger_head: str
    audit_entries: int
    audit_head: str
    decisions: int
    ended: int
    queue_changes: int

    def missing(self, now: LastKnown, ledger: Collection[str], audit: Collection[str]) -> Iterator[str]:
        """Names the books that do not reach as far any more.

        Args:
            now: How far they come now.
            ledger: The hashes of the ledger's entries.
            audit: Those of the audit log's events, at least the one known last.
        """
        if self.ledger_entries and self.ledger_head not in ledger:
            yield f"the ledger lacks entry {self.ledger_entries}, which it had: an older copy, or rewritten"
        if self.audit_entries and self.audit_head not in audit:
            yield f"the audit log lacks event {self.audit_entries}, which it had: an older copy, or rewritten"
        for name in ("decisions", "ended", "queue_changes"):
            if getattr(now, name) < getattr(self, name):
                yield f"{name} were {getattr(self, name)}, now {getattr(now, name)}: an older copy"


def now(state: StateFolder, ledger: tuple[int, str], audit: tuple[int, str]) -> LastKnown:
    """How far the books come, given the two chains' lengths and last hashes.

    Raises:
        BooksDisagree: Decisions or the run queue are missing or cannot be read.
    """
    ((decisions, ended),) = rows(state.approvals, "SELECT count(*), coalesce(sum(decision='ended'), 0) FROM decisions")
    ((changes,),) = rows(state.runs, "SELECT coalesce(sum(version), 0) FROM runs")
    return LastKnown(*ledger, *audit, decisions, ended, changes)


def write(state: StateFolder, seal: Seal, ledger: Ledger, audit: AuditLog) -> None:
    """Keeps how far the books have come.

    Raises:
        BooksDisagree, LedgerBroken: One of them is missing or cannot be read.
    """
    known = asdict(now(state, ledger.head(), (audit.head.entries, audit.head.hash)))
    write_private(_file(state), json.dumps({**known, "seal": seal.mark(_PURPOSE, known)}, indent=2))


def read(state: StateFolder, seal: Seal) -> LastKnown:
    """What was kept last.

    Raises:
        BooksDisagree: It is missing, or was not written by this datasite.
    """
    try:
        values = json.loads(_file(state).read_text())
        mark = values.pop("seal")
        if not seal.fits(mark, _PURPOSE, values):
            raise ValueError("its seal does not fit")
        return LastKnown(**values)
    except (OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise disagree(f"identity/{_file(state).name} is missing or was changed ({error!r})") from error


def rows(table: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in one of the datasite's SQLite files, which may be in use.

    Raises:
        BooksDisagree: It is missing, or cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{table.absolute().as_uri()}?mode=rw", uri=True, timeout=20)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise disagree(f"{table.name} is missing or cannot be read ({error})") from error


def disagree(*what: str) -> BooksDisagree:
    """The error that says what does not agree, to the hospital only."""
    told = "; ".join(what[:5]) + (f"; and {len(what) - 5} more" if len(what) > 5 else "")
    return BooksDisagree(
        PUBLIC,
        private=f"{told}. Restore the folder from a backup and name this one with --lost; see "
        "docs/how-to-back-up-and-restore.md.",
    )


def _file(state: StateFolder) -> Path:
    return state.identity / "books.json"
