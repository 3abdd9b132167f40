"""Errors of a ledger that cannot be used: one that does not verify, whose disk takes or gives nothing, or was halted.

Each way every run is refused. A full disk has changed no entry, and asks for room instead of a backup; one that cannot
be read now asks for a look at the disk. A ledger is
halted for good, by a mark beside it, once it was seen to lack what its datasite has signed: it is an older copy.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from policies.errors import BooksBehind, LedgerBroken, LedgerUnavailable

_HALTED = ".halted"

_OF_THE_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_OF_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
# To read too, SQLite makes a small file beside the table.
_OF_SQLITE_WRITING = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}

# The disk, its server or this machine does not let a file be read now, which says nothing of what stands in it.
_NOT_READ = {
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EINTR,
    errno.EAGAIN,
    errno.ETIMEDOUT,
    errno.EREMOTEIO,
}
_NOT_READ_BY_SQLITE = {
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_FSTAT,
    sqlite3.SQLITE_IOERR_NOMEM,
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_ACCESS,
}


def is_not_read(error: Exception, file: Path | None = None) -> bool:
    """Whether an error says that a file cannot be read now, as for a failing disk or too many open files.

    Args:
        error: Of SQLite or the file system.
        file: The table, for SQLite: it says of one that is missing what it says of one that it may not open now.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        not_opened = code & 0xFF == sqlite3.SQLITE_CANTOPEN and file is not None and file.is_file()
        return code in _NOT_READ_BY_SQLITE or not_opened
    return isinstance(error, OSError) and error.errno in _NOT_READ


def takes_nothing(error: Exception) -> bool:
    """Whether an error says that the disk is full or read-only, and nothing of what stands on it.

    Args:
        error: Of SQLite or the file system.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code in _OF_SQLITE_WRITING or code & 0xFF in _OF_SQLITE
    return isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM


def unavailable(name: str, error: Exception) -> LedgerUnavailable:
    """For a disk that takes nothing.

    Args:
        name: Of the ledger's file.
        error: As `takes_nothing` takes it.
    """
    return LedgerUnavailable(
        "The hospital's disk does not take what its privacy ledger needs, as when it is full: nothing runs until it "
        "does. No round is charged twice; asking again later is safe.",
        private=f"{name} cannot be used ({error}). Make room on the disk, and see that it can be written.",
    )


def unusable(file: Path, head_name: str, what: str, error: Exception) -> LedgerBroken:
    """For whatever SQLite or the file system raises: what is not the disk's counts as edited.

    Args:
        file: The ledger's.
        head_name: Of the head's file.
        what: Cannot be done, where it is not the disk's.
        error: Theirs.
    """
    if takes_nothing(error):
        return unavailable(file.name, error)
    if is_not_read(error, file):
        return unread(file, head_name, error)
    return broken(file.name, head_name, f"{what} ({error})")


def unread(file: Path, head_name: str, error: Exception) -> LedgerUnavailable:
    """For a file that cannot be read, or written, now.

    Args:
        file: The ledger's.
        head_name: Of the head's file.
        error: As `is_not_read` takes it.
    """
    return LedgerUnavailable(
        "The hospital's disk does not let its privacy ledger be read or written now: nothing runs until it does. No "
        "round is charged twice; asking again later is safe.",
        private=f"{file} cannot be read or written now ({error}). Look at the disk that it is on, and whether this "
        "machine has too many open files or too little memory, then do it again. If it stays so, restore "
        f"{file.name} and {head_name} together from a backup that holds every entry.",
    )


def broken(name: str, head_name: str, what: str) -> LedgerBroken:
    """For a ledger that does not verify.

    Args:
        name: Of its file.
        head_name: Of the head's.
        what: The first thing that is wrong, for the hospital's people.
    """
    return LedgerBroken(
        "The hospital's privacy ledger does not verify; every run is refused. Ask the hospital's admin.",
        private=f"{name}: {what}. Stop the datasite and restore {name} and {head_name} together from a backup that "
        "holds every entry. What is not restored is lost to the accounting: if in doubt, publish the dataset no more.",
    )


def halt(ledger: Path, told: Mapping[str, str | int]) -> bool:
    """Halts a ledger for good: nothing is appended to it any more, by whatever process. Halting again changes nothing.

    Args:
        ledger: The ledger's file.
        told: What it lacks, for the hospital's people.

    Returns:
        Whether it was not halted before.

    Raises:
        LedgerUnavailable: The mark cannot be written.
    """
    mark = _mark(ledger)
    try:
        descriptor = os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise unavailable(mark.name, error) from error
    try:
        os.write(descriptor, json.dumps(dict(told), indent=2).encode() + b"\n")
        os.fsync(descriptor)
        folder = os.open(mark.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:  # the mark stands, with less in it
        raise unavailable(mark.name, error) from error
    finally:
        os.close(descriptor)
    return True


def halted(ledger: Path) -> dict[str, object] | None:
    """What a halted ledger lacks, as far as its mark can be read; None where it is not halted."""
    mark = _mark(ledger)
    if not os.path.lexists(mark):
        return None
    try:
        told = json.loads(mark.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def resume(ledger: Path) -> None:
    """Takes a halted ledger's mark away: for a restore, which has settled what the ledger lacked."""
    _mark(ledger).unlink(missing_ok=True)


def check_not_halted(ledger: Path) -> None:
    """Returns if nothing may be kept from a ledger.

    Raises:
        BooksBehind: It was halted.
    """
    told = halted(ledger)
    if told is None:
        return
    what = ", ".join(f"{name} {told[name]}" for name in ("request", "round", "update") if name in told) or "unknown"
    raise BooksBehind(
        "This hospital found that its books are an older copy of what they were, so it runs nothing and charges "
        "nothing until its people have restored them. Ask them, and go on with the study then: nothing of it is lost.",
        private=f"the ledger lacks what a receipt of this datasite states ({what}): an older copy of the state folder "
        "was put in place. Stop the datasite, look for the newer folder, and restore; see "
        "docs/how-to-back-up-and-restore.md.",
    )


def _mark(ledger: Path) -> Path:
    return ledger.with_suffix(_HALTED)
