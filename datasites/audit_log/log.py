"""The datasite's event log: one JSON line an event, each chained to the one before by its hash.

It stays in the hospital. Events name accounts, requests, rounds and digests, never a value of a picture.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from datasites.audit_log.chain import (
    AuditHead,
    AuditLines,
    Detail,
    Event,
    Keep,
    broken,
    check_end,
    entry_hash,
    follow,
    head_file,
    locked,
    read,
    verify,
)
from datasites.audit_log.index import AuditIndex
from policies.errors import AuditUnavailable
from policies.ledger.head_file import Head
from policies.ledger.seal import Seal

__all__ = ["AuditLog", "verify"]

MAX_TEXT = 8000  # characters of one detail; longer ones are cut


class AuditLog:
    """An append-only, hash-chained log. Any thread and process may write it, anyone may verify it.

    Attributes:
        index: Searches it.
    """

    def __init__(self, path: Path, seal: Seal | None = None) -> None:
        """Opens the log at `path`, which `begin` has made.

        Args:
            path: The log; its head and lock files lie beside it.
            seal: The datasite's; None for a log from before state version 2, which begins with its first event.

        Raises:
            AuditBroken: The log is missing, was cut, or has a line that does not hold.
            AuditUnavailable: It cannot be read or repaired.
        """
        self._path, self._seal = path, seal
        self._head_file = head_file(path, seal)
        self._lock = threading.Lock()
        self._told: list[Callable[[str, Mapping[str, Detail]], None]] = []
        self._head = AuditHead()
        self.index = AuditIndex(path, seal)
        if seal is None and self._head_file.path.exists():
            raise broken(f"{self._head_file.path.name} is sealed, and the identity knows of no sealed books")
        with self._lock:
            self._with_file(self._catch_up)

    @classmethod
    def begin(cls, path: Path, seal: Seal) -> Self:
        """Makes an empty log where there is none.

        Raises:
            AuditUnavailable: It exists, or cannot be made.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            head_file(path, seal).begin()
        except OSError as error:
            raise _unavailable(path, error) from error
        return cls(path, seal)

    @property
    def head(self) -> AuditHead:
        """Where the log ended when this object last read or wrote it."""
        return self._head

    def seal(self, seal: Seal) -> None:
        """Gives a log from before state version 2 its sealed head.

        Raises:
            AuditUnavailable: It has one, or it cannot be written.
        """

        def begin_head(file: int) -> None:
            self._catch_up(file)
            head_file(self._path, seal).begin(Head(self._head.entries, self._head.hash))

        with self._lock:
            self._with_file(begin_head)

    def write(self, event: str, **details: Detail) -> str:
        """Appends one event and returns its hash.

        Guarantees:
            On return the event is on disk and follows every event before it, and its end is sealed. On an error
            nothing is left of it, or a torn line, which the next event puts aside and reports; or, where only the
            head could not be written, the whole event.

        Raises:
            AuditBroken: The log was changed or cut since the last event.
            AuditUnavailable: The disk takes no more.
        """
        with self._lock:
            digest = str(self._with_file(lambda file: self._append(file, event, details)))
        for tell in self._told:
            tell(event, details)
        return digest

    def on_event(self, tell: Callable[[str, Mapping[str, Detail]], None]) -> None:
        """Has each event told that this object writes from now on, once it is on disk; `tell` must not fail or wait."""
        self._told.append(tell)

    def read(self, keep: Keep = lambda entry: True) -> AuditLines:
        """All of the log, checked, with the entries that `keep` chooses; raises as `chain.read`."""
        return read(self._path, keep, self._seal)

    def tail(self, count: int) -> list[Event]:
        """The last `count` events, oldest first."""
        with self._lock:
            lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.loads(line) for line in lines[-count:]]

    def _with_file(self, work: Any) -> Any:
        try:
            with locked(self._path):
                file = os.open(self._path, os.O_RDWR | (os.O_CREAT if self._seal is None else 0), 0o600)
                try:
                    return work(file)
                finally:
                    os.close(file)
        except FileNotFoundError as error:
            raise broken("it is missing, and a datasite that has one never begins another") from error
        except OSError as error:
            raise _unavailable(self._path, error) from error

    def _append(self, file: int, event: str, details: dict[str, Detail]) -> str:
        self._catch_up(file)
        entry: Event = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **{name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in details.items()},
            "previous": self._head.hash,
        }
        digest = entry_hash(entry)
        line = json.dumps({**entry, "hash": digest}).encode() + b"\n"
        self._seal_end(announced=digest)
        try:
            _write_all(file, line, self._head.size)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._head.size)
            raise
        size = self._head.size + len(line)
        self._head = AuditHead(self._head.entries + 1, digest, size, before=self._head.hash)
        self._seal_end()
        return digest

    def _seal_end(self, announced: str = "") -> None:
        if self._seal is not None:
            head = Head(self._head.entries, self._head.hash, announced)
            self._head_file.write(head, sync=bool(announced))

    def _catch_up(self, file: int) -> None:
        """Reads what other processes have written since, and repairs what one of them left torn."""
        size = os.fstat(file).st_size
        if size < self._head.size:
            raise broken(f"it ends before line {self._head.entries}: it was cut or replaced")
        if size == self._head.size:
            return check_end(self._path, self._head, self._seal)
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(self._head.size)
            lines = follow(stream, self._head, keep=lambda entry: False)
        check_end(self._path, lines.head, self._seal)
        self._head = lines.head
        if lines.torn:
            self._put_aside(file, lines.torn)

    def _put_aside(self, file: int, torn: bytes) -> None:
        """Moves a torn line out of the chain into audit.torn and says so in an event of its own."""
        aside = os.open(self._path.with_suffix(".torn"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(aside, torn + b"\n")
            os.fsync(aside)
        finally:
            os.close(aside)
        os.ftruncate(file, self._head.size)
        os.fsync(file)
        digest = hashlib.sha256(torn).hexdigest()
        self._append(file, "audit log repaired", {"torn_bytes": len(torn), "torn_sha256": digest})


def _unavailable(log: Path, error: OSError) -> AuditUnavailable:
    return AuditUnavailable(
        "The hospital's audit log cannot be written, so nothing is done that must stand in it. Ask again "
        "later; the hospital's admin finds the cause with 'python -m datasites doctor'.",
        private=f"{log.name}: {error.strerror or error}",
    )


def _write_all(file: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written
