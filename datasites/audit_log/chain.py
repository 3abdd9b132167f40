"""The audit log's lines as a chain: each carries the hash of the one before, and a sealed head says where it ends.

Reads and checks lines; writes none. The log stays in the hospital.
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

from policies.errors import AuditBroken, AuditUnavailable
from policies.ledger.chain_errors import is_not_read
from policies.ledger.head_file import GENESIS, HeadBroken, HeadFile
from policies.ledger.seal import Seal
from policies.plans.plan_json import canonical_json

BOOK = "audit log"
Detail = str | int | float | bool | None
Event = dict[str, Detail]
Keep = Callable[[Event], bool]


@dataclass(frozen=True)
class AuditHead:
    """How many entries there are, the hashes of the last one and of the one before it, and how many bytes they take."""

    entries: int = 0
    hash: str = GENESIS
    size: int = 0
    before: str = GENESIS


@dataclass(frozen=True)
class AuditLines:
    """What a stretch of the log holds.

    Attributes:
        head: After its last whole entry.
        entries: Its entries, oldest first.
        torn: What follows the last whole line: the part of an entry that a crash or a full disk left.
    """

    head: AuditHead
    entries: tuple[Event, ...]
    torn: bytes


def verify(path: Path, seal: Seal | None = None) -> AuditHead:
    """Returns the head of a log in which every entry follows the one before it; see `read` for the seal.

    Raises:
        AuditBroken: Its private text names the first line that is not an entry, was changed, does not follow, is
            missing, or is torn.
    """
    lines = read(path, lambda entry: False, seal)
    if lines.torn:
        raise broken(
            f"line {lines.head.entries + 1} is torn: {len(lines.torn)} bytes without an end, as a crash or a full disk "
            "leaves them. All before it holds. The next event repairs it: it is kept in audit.torn, which an entry says"
        )
    return lines.head


def read(path: Path, keep: Keep = lambda entry: True, seal: Seal | None = None) -> AuditLines:
    """All of a log, checked, with the entries that `keep` chooses.

    Args:
        path: The log.
        keep: Chooses what is returned.
        seal: The datasite's, with which a missing log and one that was cut are refused. Without it only the lines
            are looked at, as anybody can.

    Raises:
        AuditBroken: Its private text names the first line that is not an entry, was changed, does not follow, or is
            missing.
        AuditUnavailable: The disk does not let it be read now.
    """
    try:
        with locked(path, shared=True):
            if not path.exists():
                lines = AuditLines(AuditHead(), (), b"")
            else:
                with path.open("rb") as stream:
                    lines = follow(stream, AuditHead(), keep)
            check_end(path, lines.head, seal)
            return lines
    except OSError as error:
        if is_not_read(error):
            raise unread(path, error) from error
        raise broken(f"it cannot be read ({error.strerror})") from error


def head_file(log: Path, seal: Seal | None) -> HeadFile:
    """The file of a log's head."""
    return HeadFile(log.with_suffix(".head"), BOOK, seal)


def check_end(log: Path, end: AuditHead, seal: Seal | None) -> None:
    """Compares where a log ends with its sealed head; without a seal there is nothing to compare.

    Raises:
        AuditBroken: It is missing, was cut or appended to by somebody else, or its head was.
    """
    if seal is None:
        return
    try:
        head = head_file(log, seal).read()
    except HeadBroken as error:
        raise broken(f"it has no end: {error}") from error
    if not head.ends(end.entries, end.hash, end.before):
        raise broken(
            f"it ends at line {end.entries}, and its head counts {head.count}: it was cut, replaced or appended to"
        )


def unread(log: Path, error: OSError) -> AuditUnavailable:
    """The error that says that a log cannot be read now, which says nothing of what stands in it."""
    return AuditUnavailable(
        "The hospital's audit log cannot be read now, so nothing is done that must stand in it. Ask again later; the "
        "hospital's admin should look at its disk.",
        private=f"{log} cannot be read now ({error.strerror or error}). Look at the disk it is on, and whether this "
        "machine has too many open files or too little memory, then do it again.",
    )


def broken(what: str) -> AuditBroken:
    """The error that says `what` is wrong with the log, to the hospital only."""
    return AuditBroken(
        "The hospital's audit log does not hold, so nothing is done that must stand in it. Ask the hospital's admin.",
        private=f"audit.log: {what}. Stop the datasite, keep the log for whoever looks into it, and restore from a "
        "backup; see docs/how-to-back-up-and-restore.md.",
    )


def follow(lines: Iterable[bytes], head: AuditHead, keep: Keep = lambda entry: True) -> AuditLines:
    """Checks lines that follow `head`, one at a time; each ends with a line feed, but for a torn last one.

    Raises:
        AuditBroken: Its private text names the first line that is not an entry, was changed, or does not follow.
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


def entry_hash(entry: Event) -> str:
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


def _check(line: bytes, head: AuditHead) -> tuple[Event, AuditHead]:
    number = head.entries + 1
    try:
        entry = json.loads(line)
        digest = entry.pop("hash")
        intact = entry_hash(entry) == digest
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise broken(f"line {number} is not an entry") from error
    if not intact:
        raise broken(f"line {number} was changed")
    if entry.get("previous") != head.hash:
        raise broken(f"line {number} does not follow the one before it: a line is missing, or was moved")
    size = head.size + len(line) + 1
    return {**entry, "hash": digest}, AuditHead(number, digest, size, before=head.hash)
