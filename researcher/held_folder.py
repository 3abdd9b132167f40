"""The lock of a study's folder: one process works there at a time, and others are told which.

Nothing that a hospital knows stands in it: the number of a process, and the name of its machine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from policies.errors import ConfigError
from policies.untrusted_text import shown
from researcher import atomic_file

LOCK = "in_use.lock"
"""Name of the file in a study's folder that is there while a process works on it."""
# Who has just locked the file writes next who it is.
_LOOKS, _SECONDS_BETWEEN = 100, 0.01
_MOST_BYTES = 300
# What a file system says that knows no locks, as some of a network do: nobody can be kept out there.
_LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class FolderLock:
    """What a study's object holds while it works on its folder: its own thread may take it again, nobody else may.

    A process that was killed leaves the folder to whoever comes next.

    Args:
        folder: Of the study.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._owner = folder, 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps everybody else from the folder for the length of a `with` block; makes it if needed.

        Raises:
            ConfigError: Another process works on it, or another object of this one; or it cannot be written.
        """
        if self._owner == threading.get_ident():
            yield
            return
        descriptor = _locked(self._folder)
        try:
            self._owner = threading.get_ident()
            with contextlib.suppress(OSError):  # a full disk: whoever comes is told that it is held, not by whom
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {os.uname().nodename}\n".encode(), 0)
            yield
        finally:
            self._owner = 0
            with contextlib.suppress(OSError):  # the folder went away
                if _is_at(descriptor, self._folder / LOCK):
                    (self._folder / LOCK).unlink()
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """The lock's open file, which is the one that everybody finds: not one that its holder has just removed."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise atomic_file.unwritable(folder / LOCK, error) from error
        try:
            _lock(descriptor, folder)
            if _is_at(descriptor, folder / LOCK):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"{_holder(descriptor)} works on the study in {folder} now. Wait until it has ended, or stop it, "
            "which loses nothing; then run this again, or choose another folder."
        ) from error
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise atomic_file.unwritable(folder / LOCK, error) from error


def _holder(descriptor: int) -> str:
    """Who holds the lock, in words."""
    for _ in range(_LOOKS):
        number, _, machine = os.pread(descriptor, _MOST_BYTES, 0).decode(errors="replace").strip().partition(" ")
        if number.isdecimal() and machine:
            if machine != os.uname().nodename:
                return f"Process {number} on {shown(machine)}"
            if Path(f"/proc/{number}").exists():
                return f"Process {number}"
        time.sleep(_SECONDS_BETWEEN)  # empty yet, or of one that was killed
    return "Another process"


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
