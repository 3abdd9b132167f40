"""The hospital's store of compiled kernels, a folder for each key. Runs read one of them; the datasite alone writes.

What a process compiled is copied, not taken over: no file of the store was ever open where a researcher's graph was
worked on. Each set's digests are looked at before a run is given it, so that what is cut off or changed counts as not
there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_SET_BYTES, MOST_SET_FILES = 256 << 20, 4096
MOST_BYTES = 1 << 30
MOST_UNUSED_SECONDS = 90 * 86_400
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,250}")
_FILES, _DIGESTS = "files", "digests.json"


class KernelsRefused(Exception):
    """What was compiled is not kept: too much of it, or something that is no plain file."""


@dataclass(frozen=True)
class KernelStore:
    """Sets of kernels by key.

    Attributes:
        folder: Of the store; made when it is first needed.
        most_bytes: Of all sets together; the one that was needed least lately goes first.
        now: The clock, in seconds since 1970.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    now: Callable[[], float] = time.time

    def find(self, key: str) -> Path | None:
        """Returns the folder of a set's files, None where there is none or it is not as it was kept; that one goes."""
        held = self._set(key)
        if not held.exists():
            return None
        try:
            digests = json.loads((held / _DIGESTS).read_text())
            files = sorted(file.name for file in (held / _FILES).iterdir())
            sound = files == sorted(digests) and all(_digest(held / _FILES / name) == digests[name] for name in files)
        except (OSError, ValueError, TypeError, AttributeError):
            sound = False
        if not sound:
            _remove(held)
            return None
        os.utime(held, (self.now(), self.now()))
        return held / _FILES

    def keep(self, key: str, made: Path) -> Path:
        """Keeps what was compiled.

        Args:
            key: Of the set.
            made: A folder of plain files, to which nobody writes any more.

        Returns:
            The folder of the set's files, which nobody may write to.

        Raises:
            KernelsRefused: There is nothing, too much, or something else than plain files.
            OSError: The disk does not take it.
        """
        held = self._set(key)
        with self.room() as new:
            (new / _FILES).mkdir()
            digests = _copied(made, new / _FILES)
            (new / _DIGESTS).write_text(json.dumps(digests))
            (new / _FILES).chmod(0o555)
            _remove(held)
            new.rename(held)
        os.utime(held, (self.now(), self.now()))
        self.trim(keeping=key)
        return held / _FILES

    @contextlib.contextmanager
    def room(self) -> Iterator[Path]:
        """Yields a new folder beside the sets, which is gone afterwards unless it was given another name."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        new = self.folder / f"new-{secrets.token_hex(8)}"
        new.mkdir(mode=0o700)
        try:
            yield new
        finally:
            _remove(new)

    def trim(self, *, keeping: str = "") -> None:
        """Removes what an earlier start left, sets that nobody needed for long, and then the oldest beyond the limit.

        Args:
            keeping: The key of the set that stays whatever it takes.
        """
        total = 0
        for one in self.sets():
            total += size_of(one)
            old = self.now() - _used(one) > MOST_UNUSED_SECONDS
            if one.name != keeping and (old or total > self.most_bytes):
                _remove(one)

    def sets(self) -> list[Path]:
        """The sets that there are, the one that was needed last first."""
        if not self.folder.is_dir():
            return []
        return sorted((one for one in self.folder.iterdir() if _KEY.fullmatch(one.name)), key=_used, reverse=True)

    def clear_rooms(self) -> None:
        """Removes what processes that were ended left half made; while nothing is compiled."""
        for left in self.folder.glob("new-*"):
            _remove(left)

    def _set(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of kernels: it has 64 hexadecimal digits.")
        return self.folder / key


def size_of(folder: Path) -> int:
    """Bytes of the plain files in a folder and its folders; those that vanish meanwhile count nothing."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += Path(where, name).lstat().st_size
    return total


def _copied(made: Path, into: Path) -> dict[str, str]:
    """Copies plain files; returns the digest of each, by its name."""
    digests: dict[str, str] = {}
    left = MOST_SET_BYTES
    for entry in sorted(made.iterdir()):
        if not _NAME.fullmatch(entry.name):
            raise KernelsRefused("a file's name is none of a kernel's")
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise KernelsRefused("what was compiled holds something else than plain files")
            content = file.read(left + 1)
        left -= len(content)
        if left < 0 or len(digests) >= MOST_SET_FILES:
            raise KernelsRefused("what was compiled is too much")
        target = into / entry.name
        target.write_bytes(content)
        target.chmod(0o444)
        digests[entry.name] = hashlib.sha256(content).hexdigest()
    if not digests:
        raise KernelsRefused("nothing was compiled")
    return digests


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _used(held: Path) -> float:
    try:
        return held.stat().st_mtime
    except OSError:
        return 0.0


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for where, _, _ in os.walk(folder):
            Path(where).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
