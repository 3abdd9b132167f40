"""One blob on its way to the disk: written aside, or begun by an upload that broke off, and shown once it is right."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import secrets
import signal
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from datasites.files.sync_ahead import SyncAhead
from policies.errors import BlobError, BlobUnknown
from policies.validate import Checks

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
PART = ".part-"
"""What the file of an upload that broke off begins with; the digest of the whole follows."""
_CHECKS = Checks(BlobUnknown)
_BEGIN_AGAIN = "There is no such beginning of this upload here. Send it whole."


def blob_file(folder: Path, account: str, digest: str) -> Path:
    """Where a blob of an account lies in the folder of blobs, if it is there.

    Raises:
        BlobUnknown: What should be digests are none.
    """
    return folder / _CHECKS.digest("account", account)[:32] / _CHECKS.digest("digest", digest)


class Blob:
    """A blob that is being written. `datasites.runs.blobs.BlobStore` makes them."""

    def __init__(self, folder: Path, at_most: int, shown: AbstractContextManager[Any], *, announced: str = "") -> None:
        """Begins with nothing.

        Args:
            folder: Of the account.
            at_most: Bytes that it may have.
            shown: Held while a file takes its place or leaves it, so that two of the same bytes count once.
            announced: The digest that an upload was announced with; what a killed datasite leaves is found by it.
        """
        self.size = 0
        self.added = 0
        self.is_new = False
        self.taken = self.parts = 0  # bytes and files of beginnings that are none any more
        self.shows = False
        self._folder, self._at_most, self._shown = folder, at_most, shown
        self._running = hashlib.sha256()
        self._aside = folder / f".{secrets.token_hex(16)}{'-' * bool(announced)}{announced}"
        self._stream: BinaryIO = self._aside.open("xb")
        self._ahead = SyncAhead(self._aside)

    def write(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes.

        Raises:
            BlobError: They are more than was announced.
            OSError: The disk did not take them, or some before them.
        """
        self._count(chunk)
        self._stream.write(chunk)
        self._ahead.wrote(self.size)
        self._ahead.check()

    def take_over(self, file: Path) -> bool:
        """Makes a file that is whole the blob's, in the place of bytes that would be written: `found` is told of them.

        Guarantees:
            Nobody has the file open for writing, or mapped, when it has become the blob's, and none of its names is
            left.

        Args:
            file: Which goes away with it.

        Returns:
            Whether it could be: not a file of another account, on another disk, with a second name, open for writing,
            or on a file system that does not tell. Then nothing has changed.
        """
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        about = os.fstat(descriptor)
        try:
            _check_own(about)
            _check_unwritten(descriptor)
            file.rename(self._aside)
        except OSError:
            os.close(descriptor)
            return False
        self._stream.close()
        self._stream = os.fdopen(descriptor, "rb")
        os.fchmod(descriptor, 0o600)
        if not os.path.samestat(self._aside.stat(), about):
            raise BlobError("The run's file was exchanged while it was looked at.")
        self._ahead.wrote(about.st_size)
        return True

    @property
    def file(self) -> Path:
        """Where the bytes are until the blob shows."""
        return self._aside

    def found(self, chunk: bytes | memoryview) -> None:
        """Counts the next bytes of the file that was taken over.

        Raises:
            BlobError: They are more than was announced.
        """
        self._count(chunk)

    def _count(self, chunk: bytes | memoryview) -> None:
        self.size += len(chunk)
        if self.size > self._at_most:
            raise BlobError(f"The blob was announced with {self._at_most} bytes; it has more.")
        self._running.update(chunk)

    def go_on(self, digest: str, begin: int) -> None:
        """Takes what came of an upload that broke off as the blob's beginning.

        Each of its bytes is written again. The disk may have refused them after they were set aside, or before the
        datasite was killed, and a system tells that to whom had the file open then, and to nobody later: the last sync
        brings to the disk, or hears of, what is written from here on.

        Raises:
            BlobError: There are not exactly `begin` bytes of it.
            OSError: The disk did not take them.
        """
        self._stream.close()
        try:
            with self._shown:
                self._aside = (self._folder / f"{PART}{digest}").rename(self._aside)
        except FileNotFoundError as error:
            raise BlobError(_BEGIN_AGAIN) from error
        self.taken, self.parts = self._aside.stat().st_size, 1
        self._stream = self._aside.open("r+b")
        if self.taken != begin:
            raise BlobError(_BEGIN_AGAIN)
        while chunk := self._stream.read(CHUNK_BYTES):
            self._running.update(chunk)
            self._stream.seek(-len(chunk), os.SEEK_CUR)
            self._stream.write(chunk)
        self.size = begin

    def set_aside(self, digest: str) -> None:
        """Keeps what came, if anything did and the disk took it, in the place of what came of it before."""
        self._stream.close()
        if not self.size or self._ahead.has_failed:
            return
        part = self._folder / f"{PART}{digest}"
        with self._shown:
            self._leave(part)
            self.added, self.is_new = self.size, True
            self._aside.replace(part)

    @classmethod
    def find_parts(cls, folder: Path) -> None:
        """Makes what a stop left of uploads their beginnings; of several of the same, the longest. Removes the rest.

        What a power cut made of a file may be wrong: the digest of the whole shows it, and the upload begins again.
        """
        left = [file for file in folder.glob(".*") if not file.name.startswith(PART)]
        for file in sorted(left, key=lambda one: one.stat().st_size):
            _, _, announced = file.name.partition("-")
            part = folder / f"{PART}{announced}"
            if announced and file.stat().st_size > (part.stat().st_size if part.exists() else 0):
                file.replace(part)
            else:
                file.unlink()

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return self._running.hexdigest()

    def keep(self) -> str:
        """Makes the blob visible under its digest, on disk for good, and returns the digest."""
        self._stream.flush()
        self._ahead.end()
        os.fsync(self._stream.fileno())
        self._ahead.check()
        self.show()
        sync_folder(self._folder)
        return self.digest

    def finish(self) -> SyncAhead | None:
        """Has the whole blob brought to the disk for good beside what is done next; it may be shown at once.

        Returns:
            What brings it there: whoever needs it there waits for that, and then syncs the folder. None where nothing
            does: `keep` is to be called then.
        """
        self._stream.flush()
        return self._ahead if self._ahead.finish() else None

    def show(self) -> None:
        """Makes the blob visible under its digest, whether or not it is on the disk for good."""
        target = self._folder / self.digest
        with self._shown:
            self.is_new = not target.exists()
            self.added = self.size if self.is_new else 0
            self._aside.replace(target)
            self._leave(self._folder / f"{PART}{self.digest}")
        self.shows = True

    def _leave(self, part: Path) -> None:
        """Removes what came of the same upload before; where the disk refuses, it goes once it has expired."""
        with contextlib.suppress(OSError):
            size = part.stat().st_size
            part.unlink()
            self.taken, self.parts = self.taken + size, self.parts + 1

    def close(self) -> None:
        """Removes what was not kept; nothing that was is given up for a disk that refuses this."""
        self._ahead.end()
        with contextlib.suppress(OSError):  # a full disk may refuse the last buffer too
            self._stream.close()
        try:
            self._aside.unlink(missing_ok=True)
        except OSError:
            log.exception("%s cannot be removed", self._aside)


def _check_own(about: os.stat_result) -> None:
    """Returns if a file is a plain one of this account with one name.

    Raises:
        OSError: It is none.
    """
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_nlink != 1:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _check_unwritten(descriptor: int) -> None:
    """Returns if nobody has a file open for writing, or mapped so: the system grants a read lease only then.

    Args:
        descriptor: Of the file, which is the caller's own, open for reading.

    Raises:
        OSError: Somebody has, or the file system does not tell.
    """
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # whose news nobody dies of
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def sync_folder(folder: Path) -> None:
    """Brings a folder's names to the disk for good."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
