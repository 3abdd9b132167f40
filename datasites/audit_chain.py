"""The audit log's lines as a chain: each carries the hash of the one before. Reads and checks; writes nothing.

The log stays in the hospital.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import AuditBroken
from policies.plan import canonical_json

GENESIS = "0" * 64
Keep = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class AuditHead:
    """How many entries there are, the hash of the last one, and how many bytes they take."""

    entries: int = 0
    hash: str = GENESIS
    size: int = 0


@dataclass(frozen=True)
class AuditLines:
    """What a stretch of the log holds.

    Attributes:
        head: After its last whole entry.
        entries: Its entries, oldest first.
        torn: What follows the last whole line: the part of an entry that a crash or a full disk left.
    """

    head: AuditHead
    entries: tuple[dict[str, Any], ...]
    torn: bytes


def verify(path: Path) -> AuditHead:
    """Returns the head of a log in which every entry follows the one before it.

    Raises:
        AuditBroken: Names the first line that is not an entry, was changed, does not follow, or is torn.
    """
    lines = read(path, keep=lambda entry: False)
    if lines.torn:
        raise AuditBroken(
            f"The audit log's line {lines.head.entries + 1} is torn: {len(lines.torn)} bytes without an end, as a "
            "crash or a full disk leaves them. All before it holds. The next event repairs it: it is kept in "
            "audit.torn, and an entry says so."
        )
    return lines.head


def read(path: Path, keep: Keep = lambda entry: True) -> AuditLines:
    """All of a log, checked, with the entries that `keep` chooses; nothing where there is no log yet.

    Raises:
        AuditBroken: Names the first line that is not an entry, was changed, or does not follow.
    """
    try:
        with locked(path, shared=True):
            if not path.exists():
                return AuditLines(AuditHead(), (), b"")
            with path.open("rb") as lines:
                return follow(lines, AuditHead(), keep)
    except OSError as error:
        raise AuditBroken(f"The audit log cannot be read: {error.strerror}.") from error


def follow(lines: Iterable[bytes], head: AuditHead, keep: Keep = lambda entry: True) -> AuditLines:
    """Checks lines that follow `head`, one at a time; each ends with a line feed, but for a torn last one.

    Raises:
        AuditBroken: Names the first line that is not an entry, was changed, or does not follow.
    """
    entries, torn = [], b""
    for line in lines:
        if not line.endswith(b"\n"):
            torn = line
            break
        entry, head = _check(line[:-1], head)
        if keep(entry):
            entries.append(entry)
    return AuditLines(head, tuple(entries), torn)


def entry_hash(entry: dict[str, Any]) -> str:
    """SHA-256 over an entry without its own hash."""
    return hashlib.sha256(canonical_json(entry).encode()).hexdigest()


@contextlib.contextmanager
def locked(log: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds the log's lock among threads and processes. A reader goes without where it may not make the lock."""
    try:
        descriptor = os.open(log.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        if not shared:
            raise
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check(line: bytes, head: AuditHead) -> tuple[dict[str, Any], AuditHead]:
    number = head.entries + 1
    try:
        entry = json.loads(line)
        digest = entry.pop("hash")
        intact = entry_hash(entry) == digest
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise AuditBroken(f"The audit log's line {number} is not an entry. Restore it from a backup.") from error
    if not intact:
        raise AuditBroken(f"The audit log's line {number} was changed. Restore it from a backup.")
    if entry.get("previous") != head.hash:
        raise AuditBroken(
            f"The audit log's line {number} does not follow the one before it: a line is missing, or was moved. "
            "Restore it from a backup."
        )
    return {**entry, "hash": digest}, AuditHead(number, digest, head.size + len(line) + 1)
