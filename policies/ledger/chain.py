"""The ledger's file: an append-only, hash-chained SQLite table. It stays in the hospital.

Three things must agree before anything is read or appended: each row with its own hash, each row with the
hash of the row before it, and the whole with the *head*, a small file beside the database that holds how many
rows there were and the last one's hash. The head shows rows that are missing at the end, which a chain alone
cannot. It announces each row before it is written and counts it afterwards: a crash in between leaves it one
announced row behind, which the next append puts right. Any other head is a broken ledger.

The chain's hashes have no key; its head is sealed under the datasite's. So a shorter or another history cannot be
written by somebody who has the files only. It can still be an older copy of both, which other books show.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from policies.errors import LedgerBroken
from policies.ledger.chain_errors import broken, check_not_halted, unusable
from policies.ledger.head_file import GENESIS, Head, HeadBroken, HeadFile
from policies.ledger.seal import Seal
from policies.ledger.unchanged import Stamp, stamp
from policies.plans.training import canonical_json, sha256_text

BOOK = "ledger"
BUSY_SECONDS = 60.0
SCHEMA = Path(__file__).with_name("schema.sql")
_COLUMNS = ("sequence", "at", "kind", "fingerprint", "request_id", "round_index", "body", "previous", "hash")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM entries ORDER BY sequence"  # noqa: S608 - constant names
_INSERT = f"INSERT INTO entries ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608


@dataclass(frozen=True)
class Draft:
    """What is to be appended; the chain adds the sequence, the time and the hashes."""

    kind: str
    fingerprint: str
    request_id: str
    body: Mapping[str, Any]
    round_index: int | None = None


@dataclass(frozen=True)
class Entry:
    """One row, verified. `at` is UTC, ISO 8601; the rest is as in schema.sql."""

    sequence: int
    at: str
    kind: str
    fingerprint: str
    request_id: str
    round_index: int | None
    body: Mapping[str, Any]
    previous: str
    hash: str


class Chain:
    """The file and its head. Each call opens the file anew, so any thread and process may use it."""

    def __init__(self, path: Path, seal: Seal | None) -> None:
        """Opens the chain at `path`, which `begin` has made. What is missing or broken shows at its first use.

        Args:
            path: The SQLite file.
            seal: The datasite's; None for a ledger from before state version 2.
        """
        self.path, self._seal = path, seal
        self._head_file = HeadFile(path.with_suffix(".head"), BOOK, seal)
        self._lock_path = path.with_suffix(".lock")
        self._verified_at: tuple[Stamp | None, tuple[Entry, ...]] = (None, ())
        self._known: tuple[tuple[tuple[Any, ...], Entry], ...] = ()  # rows that verified, one after the other

    @classmethod
    def begin(cls, path: Path, seal: Seal | None) -> Self:
        """Makes an empty chain where there is none.

        Raises:
            LedgerBroken: The file or its head exists, or cannot be made.
        """
        made = cls(path, seal)
        with made._as_broken():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(made._connect()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN; {SCHEMA.read_text()} COMMIT;")
            made._head_file.begin()
        return made

    def seal(self, seal: Seal) -> None:
        """Seals the head of a chain that has none, once the chain verifies; sealing again changes nothing.

        Raises:
            LedgerBroken: The chain does not verify, or the head cannot be written.
        """
        with self._as_broken(), locked(self._lock_path), closing(self._connect()) as connection:
            head = _head(self._verified(connection, self._read_head(), "BEGIN"))
            HeadFile(self._head_file.path, BOOK, seal).write(head)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, in order.

        Guarantees:
            They verify as the files are now: they were read now, or nobody has written to the files since they were.

        Raises:
            LedgerBroken: The chain does not verify; the private text names the first bad entry.
        """
        with self._as_broken(), locked(self._lock_path, shared=True):
            now, (before, entries) = self._stamp(), self._verified_at
            if now is not None and now == before:
                return entries
            with closing(self._connect()) as connection:
                entries = self._verified(connection, self._read_head(), "BEGIN")
            self._verified_at = (now, entries)
            return entries

    def _stamp(self) -> Stamp | None:
        waiting = (self.path.with_name(f"{self.path.name}-{log}") for log in ("wal", "journal"))
        return stamp((self.path, self._head_file.path), waiting=waiting)

    def append(self, decide: Callable[[tuple[Entry, ...]], Draft | None]) -> tuple[Entry, ...]:
        """Shows `decide` all entries and appends what it returns, if anything, with nothing in between.

        Guarantees:
            Between what `decide` sees and what is appended, no other thread or process appends. On return the
            new entry is on disk.

        Returns:
            All entries, the new one last.

        Raises:
            LedgerBroken: The chain does not verify, or cannot be written.
            BooksBehind: It was halted.
        """
        with self._as_broken(), locked(self._lock_path), closing(self._connect()) as connection:
            check_not_halted(self.path)
            entries = self._verified(connection, self._read_head(), "BEGIN IMMEDIATE")
            draft = decide(entries)
            if draft is None:
                return entries
            row = _row(draft, _head(entries))
            self._head_file.write(replace(_head(entries), announced=row[-1]))
            connection.execute(_INSERT, row)
            connection.execute("COMMIT")
            entries = (*entries, _entry(row))
            self._head_file.write(_head(entries), sync=False)
            return entries

    @contextmanager
    def nobody_else(self, lock: Path) -> Iterator[None]:
        """Holds a lock file beside the chain.

        Raises:
            LedgerBroken: It cannot be made, as on a read-only disk.
        """
        with ExitStack() as held:
            with self._as_broken():
                held.enter_context(locked(lock))
            yield

    def copy_to(self, path: Path) -> Head:
        """Copies the table to `path` and the head beside it, as they are at one moment; the copy is verified.

        Returns:
            The copy's head.

        Raises:
            LedgerBroken: The chain does not verify, or the copy cannot be written.
        """
        with self._as_broken(), locked(self._lock_path, shared=True), closing(self._connect()) as connection:
            head = _head(self._verified(connection, self._read_head(), "BEGIN"))
            connection.execute("COMMIT")
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(path)) as copy:
                connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            HeadFile(path.with_suffix(".head"), BOOK, self._seal).begin(head)
        return head

    def _verified(self, connection: sqlite3.Connection, head: Head, begin: str) -> tuple[Entry, ...]:
        """All entries, in the transaction of `begin`; only what differs from what verified before is hashed again."""
        entries: list[Entry] = []
        rows, known, previous = [], self._known, GENESIS
        try:
            connection.execute(begin)
            for row in connection.execute(_SELECT):
                place = len(entries)
                if place >= len(known) or row != known[place][0]:
                    known = ()
                entry = known[place][1] if known else self._verify_row(row, place + 1, previous)
                entries.append(entry)
                rows.append(row)
                previous = entry.hash
                if entry.sequence == head.count and entry.hash != head.hash:
                    raise self._broken(f"entry {entry.sequence} is not the one that {self._head_name} names")
        except sqlite3.Error as error:
            raise self._unusable(error, f"entry {len(entries) + 1} cannot be read") from error
        if len(entries) < head.count:
            raise self._broken(
                f"entry {len(entries) + 1} is missing: {self._head_name} counts {head.count} entries, "
                f"the table holds {len(entries)}; its end was cut off"
            )
        # From before state version 2, a head announced nothing: there, any one row may follow it.
        uncounted = [entry.hash for entry in entries[head.count :]]
        allowed = uncounted[:1] if self._seal is None else [head.announced]
        if uncounted and uncounted != allowed:
            first = head.count + 1 + (uncounted[0] == allowed[0])
            raise self._broken(f"entry {first} is not accounted for: {self._head_name} counts {head.count} only")
        self._known = tuple(zip(rows, entries, strict=True))
        return tuple(entries)

    def _verify_row(self, row: tuple[Any, ...], sequence: int, previous: str) -> Entry:
        if row[0] != sequence:
            raise self._broken(f"entry {sequence} is missing: entry {row[0]} follows entry {sequence - 1}")
        try:
            entry = _entry(row)
            intact = row[-1] == _hash(row)
        except (TypeError, ValueError) as error:
            raise self._broken(f"entry {sequence} was changed: it cannot be read ({error})") from error
        if not intact:
            raise self._broken(f"entry {sequence} was changed: its hash does not fit what it says")
        if row[-2] != previous:
            raise self._broken(f"entry {sequence} does not continue entry {sequence - 1}: one of the two was replaced")
        return entry

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise self._unusable(error, "entry 1 cannot be read, nor any after it") from error
        return connection

    def _read_head(self) -> Head:
        try:
            return self._head_file.read()
        except HeadBroken as error:
            raise self._broken(str(error)) from error

    @property
    def _head_name(self) -> str:
        return self._head_file.path.name

    @contextmanager
    def _as_broken(self) -> Iterator[None]:
        """Turns what SQLite and the file system raise into `LedgerBroken`: what is not the disk's counts as edited."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error, "the file cannot be used") from error

    def _broken(self, what: str) -> LedgerBroken:
        return broken(self.path.name, self._head_name, what)

    def _unusable(self, error: Exception, what: str) -> LedgerBroken:
        return unusable(self.path, self._head_name, what, error)


@contextmanager
def locked(lock: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds a lock file among threads and processes; the system frees it when its holder dies."""
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _head(entries: tuple[Entry, ...]) -> Head:
    return Head(len(entries), entries[-1].hash) if entries else Head(0, GENESIS)


def _row(draft: Draft, head: Head) -> tuple[Any, ...]:
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    body = canonical_json(dict(draft.body))
    about = (draft.fingerprint, draft.request_id, draft.round_index)
    unsealed = (head.count + 1, at, draft.kind, *about, body, head.hash)
    return (*unsealed, _hash((*unsealed, "")))


def _hash(row: tuple[Any, ...]) -> str:
    """SHA-256 over every column but the hash itself."""
    return sha256_text(canonical_json(dict(zip(_COLUMNS[:-1], row[:-1], strict=True))))


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Entry(**{**values, "body": json.loads(values["body"])})
