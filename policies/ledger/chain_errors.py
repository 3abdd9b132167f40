"""Errors of a ledger that cannot be used: one that does not verify, or whose disk takes nothing.

Either way every run is refused. A full disk has changed no entry, and asks for room instead of a backup.
"""

from __future__ import annotations

import errno
import sqlite3

from policies.errors import LedgerBroken, LedgerUnavailable

_OF_THE_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_OF_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
# To read too, SQLite makes a small file beside the table. That a file cannot be read is none of these.
_OF_SQLITE_WRITING = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


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
