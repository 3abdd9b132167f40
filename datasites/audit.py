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

from policies.errors import ConfigError
from policies.plan import canonical_json

_GENESIS = "0" * 64


class AuditLog:
    """An append-only, hash-chained log. One process writes it; anyone may verify it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._head = verify(path)

    def write(self, event: str, **details: str | int | float | bool | None) -> str:
        """Appends one event, syncs it to disk, and returns its hash."""
        with self._lock:
            entry = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": event,
                **details,
                "previous": self._head,
            }
            digest = _hash(entry)
            line = json.dumps({**entry, "hash": digest}) + "\n"
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._head = digest
            return digest

    def tail(self, count: int) -> list[dict[str, Any]]:
        """The last `count` events, oldest first."""
        with self._lock:
            lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.loads(line) for line in lines[-count:]]


def verify(path: Path) -> str:
    """Returns the hash of the last entry.

    Raises:
        ConfigError: An entry is not valid JSON, was changed, or does not follow the one before it.
    """
    head = _GENESIS
    if not path.exists():
        return head
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            entry = json.loads(line)
            digest = entry.pop("hash")
        except (ValueError, KeyError, AttributeError) as error:
            raise ConfigError(f"The audit log's line {number} is not an entry. Restore it from a backup.") from error
        if entry.get("previous") != head or _hash(entry) != digest:
            raise ConfigError(
                f"The audit log's line {number} was changed, or a line before it is missing. Restore it from a backup."
            )
        head = digest
    return head


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(entry).encode()).hexdigest()
