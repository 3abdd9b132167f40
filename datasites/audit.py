"""The datasite's event log: one JSON line an event, each chained to the one before by its hash.

It stays in the hospital. Events name accounts, requests, rounds and digests, never a value of a picture.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasites.audit_chain import AuditHead, entry_hash, follow, locked, verify
from policies.errors import AuditBroken, AuditUnavailable

__all__ = ["AuditLog", "verify"]

MAX_TEXT = 8000  # characters of one detail; longer ones are cut
Detail = str | int | float | bool | None


class AuditLog:
    """An append-only, hash-chained log. Any thread and process may write it, anyone may verify it."""

    def __init__(self, path: Path) -> None:
        """Opens the log at `path`, or starts one with the first event.

        Raises:
            AuditBroken: Names the first line that does not hold.
            AuditUnavailable: It cannot be read or repaired.
        """
        self._path = path
        self._lock = threading.Lock()
        self._head = AuditHead()
        with self._lock:
            self._with_file(self._catch_up)

    def write(self, event: str, **details: Detail) -> str:
        """Appends one event and returns its hash.

        Guarantees:
            On return the event is on disk and follows every event before it. On an error nothing is left of it, or a
            torn line, which the next event puts aside and reports.

        Raises:
            AuditBroken: The log was changed or cut since the last event.
            AuditUnavailable: The disk takes no more.
        """
        with self._lock:
            return self._with_file(lambda file: self._append(file, event, details))

    def tail(self, count: int) -> list[dict[str, Any]]:
        """The last `count` events, oldest first."""
        with self._lock:
            lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.loads(line) for line in lines[-count:]]

    def _with_file(self, work: Any) -> Any:
        try:
            with locked(self._path):
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    return work(file)
                finally:
                    os.close(file)
        except OSError as error:
            raise AuditUnavailable(
                "The hospital's audit log cannot be written, so nothing is done that must stand in it. Ask again "
                "later; the hospital's admin finds the cause with 'python -m datasites doctor'.",
                private=f"{self._path.name}: {error.strerror or error}",
            ) from error

    def _append(self, file: int, event: str, details: dict[str, Detail]) -> str:
        self._catch_up(file)
        entry: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **{name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in details.items()},
            "previous": self._head.hash,
        }
        digest = entry_hash(entry)
        line = json.dumps({**entry, "hash": digest}).encode() + b"\n"
        try:
            _write_all(file, line, self._head.size)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._head.size)
            raise
        self._head = AuditHead(self._head.entries + 1, digest, self._head.size + len(line))
        return digest

    def _catch_up(self, file: int) -> None:
        """Reads what other processes have written since, and repairs what one of them left torn."""
        size = os.fstat(file).st_size
        if size < self._head.size:
            raise AuditBroken(
                f"The audit log ends before line {self._head.entries}: it was cut or replaced. Restore it from a "
                "backup."
            )
        if size == self._head.size:
            return
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(self._head.size)
            lines = follow(stream, self._head, keep=lambda entry: False)
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


def _write_all(file: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written
