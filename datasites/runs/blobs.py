"""Content-addressed files: global weights that come in, client updates that go out. A folder for each account.

A blob can be read only by the account it was put for, and a torn one never shows: it is written aside, and renamed
once its digest is known to be right. What leaves is on the disk for good before. What comes in goes there beside what
is done next, and a round is charged once it is; so what an earlier process left is read once before it is used, as a
power cut may have torn it. Nothing is ever in memory as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from datasites.files.blob import PART, Blob, blob_file, sync_folder
from datasites.files.full_disk import DISK_FULL, NOT_TAKEN, TORN, disk_full_told
from datasites.files.read_back import reads_as
from datasites.files.sync_ahead import SyncAhead
from policies import validate
from policies.errors import BlobError, BlobUnknown, DiskFull, QuotaExceeded, RunFailed


@dataclass(frozen=True)
class BlobLimits:
    """How much may lie there, and how long.

    Attributes:
        max_bytes: Of one blob.
        account_bytes: Of all blobs of one account.
        total_bytes: Of all blobs of the datasite.
        account_blobs: How many one account may have.
        free_disk_bytes: What must stay free on the disk, for the ledger and the queue.
        expiry_seconds: How long a blob stays after it was last needed.
    """

    max_bytes: int
    account_bytes: int = 20 << 30
    total_bytes: int = 100 << 30
    account_blobs: int = 10_000
    free_disk_bytes: int = 0
    expiry_seconds: float = 7 * 24 * 3600.0


class BlobStore:
    """The blobs of one datasite. One process owns it; its threads share it."""

    def __init__(self, folder: Path, *, limits: BlobLimits) -> None:
        """Opens the store; what a stop left of uploads is kept as what came of them, and the rest removed."""
        self._folder, self._limits = folder, limits
        self._lock = threading.RLock()
        self._used: dict[str, int] = {}
        self._files: Counter[str] = Counter()
        self._coming = 0  # announced by what is being written, whether or not it is on the disk yet
        self._right: set[tuple[str, str]] = set()  # account and digest of what this process wrote or has read whole
        self._begun: set[tuple[str, str]] = set()  # of what this process has handed out from the beginning
        self._settling: dict[tuple[str, str], SyncAhead] = {}
        for account in list(folder.glob("*/")):
            Blob.find_parts(account)
        for file in list(folder.glob("*/*")):
            self._count(file.parent.name, file.stat().st_size, files=1)

    # --- in ----------------------------------------------------------------------------------------------

    async def receive(
        self, account: str, digest: str, size: int, chunks: AsyncIterator[bytes], *, begin: int = 0
    ) -> int:
        """Stores a stream of `size` bytes under its digest, in bounded memory, and returns its size.

        It can be read from then on; `settle` waits until it is on the disk for good. What came of a stream that breaks
        off is kept, counts as the account's, and shows to nobody; a later stream of the rest, from byte `begin` on,
        completes it.

        Raises:
            BlobError: It is too large, of another size, or its digest is not the announced one.
            QuotaExceeded: The account or the datasite has no room left for it.
            DiskFull: The disk has none.
        """
        validate.digest("digest", digest)
        with self._writing(account, size, announced=digest) as blob:
            if begin:
                await run_in_threadpool(blob.go_on, digest, begin)
            try:
                async for chunk in chunks:
                    blob.write(chunk)
            except (ClientDisconnect, asyncio.CancelledError):
                blob.set_aside(digest)
                raise
            if blob.size != size:
                raise BlobError(f"The upload ended after {blob.size} of {size} bytes. Send it again.")
            if blob.digest != digest:
                raise BlobError("The upload does not have the digest it was announced with. Send it again.")
            await run_in_threadpool(self._keep, account, blob)
        return size

    def _keep(self, account: str, blob: Blob) -> None:
        """Shows a blob that came in; small ones once they are on the disk for good."""
        with contextlib.suppress(RunFailed):  # of the same bytes, sent before, which these replace
            self.settle(account, blob.digest)
        if (ahead := blob.finish()) is None:
            blob.keep()
            return
        with self._lock:  # whoever waits for it from here on finds its name in the folder
            self._settling[account[:32], blob.digest] = ahead
            blob.show()

    def settle(self, account: str, digest: str) -> None:
        """Returns once a blob that came in is on the disk for good; at once if it is.

        Raises:
            RunFailed: The disk did not take it, which another may have been told before. It may be sent again.
        """
        file, key, refused = blob_file(self._folder, account, digest), (account[:32], digest), None
        with self._lock:
            ahead = self._settling.get(key)
        try:
            if ahead is not None:
                ahead.wait()
                sync_folder(file.parent)
        except OSError as error:
            refused = error
        with self._lock:
            if ahead is not None and self._settling.get(key) is ahead:  # and none that came since
                del self._settling[key]
                if refused is not None:
                    self._remove(file)
        if refused is not None or not file.is_file():
            raise RunFailed(NOT_TAKEN, private=repr(refused)) from refused

    def received(self, account: str, digest: str) -> int:
        """How many bytes there are of an upload that broke off."""
        part = blob_file(self._folder, account, digest).with_name(PART + digest)
        return part.stat().st_size if part.is_file() else 0

    @contextlib.contextmanager
    def write(self, account: str, *, at_most: int) -> Iterator[Blob]:
        """A new blob to write to; it shows after its `keep`, and is gone without."""
        with self._writing(account, at_most) as blob:
            yield blob

    def put(self, account: str, content: bytes) -> str:
        """Stores bytes and returns their digest."""
        with self.write(account, at_most=len(content)) as blob:
            blob.write(content)
            return blob.keep()

    def check_room(self, account: str, size: int) -> None:
        """Refuses what could not be stored now; raises BlobError, QuotaExceeded, DiskFull."""
        with self._reserved(account, size):
            pass

    # --- out ---------------------------------------------------------------------------------------------

    def path(self, account: str, digest: str) -> Path:
        """The file of a blob; one that an earlier process of the datasite left is read as a whole, once.

        Raises:
            BlobUnknown: This account has no such blob, or what a stop of the machine left of it: that is removed.
            StorageUnavailable: The disk cannot read it now; it stays.
        """
        file = blob_file(self._folder, account, digest)
        while file.is_file():
            if (account[:32], digest) in self._right or self._is_right(file):
                return file
        raise BlobUnknown(f"No whole blob {digest[:12]}… for this account. Send weights again; a torn update is lost.")

    def from_the_beginning(self, account: str, digest: str) -> Path:
        """As `path`, of a blob that is handed out from its first byte; asked for so again, it is read as a whole first.

        Who goes on with a download has asked for nothing again, and waits for no further look.
        """
        key = (account[:32], digest)
        if key in self._begun:
            self.doubt(account, digest)
        file = self.path(account, digest)
        self._begun.add(key)
        return file

    def promised(self, account: str, digest: str) -> Path:
        """The file of the weights of a round that was queued, when they were here: as `path`.

        Raises:
            RunFailed: A stop of the machine tore them since. The researcher's side tries again after it.
        """
        try:
            return self.path(account, digest)
        except BlobUnknown as error:
            raise RunFailed(TORN, private=error.public) from error

    def doubt(self, account: str, digest: str) -> None:
        """Has a blob read as a whole before it is handed out again."""
        self._right.discard((account[:32], digest))

    def _is_right(self, file: Path) -> bool:
        """Whether a file has its name's digest, which is noted; if not, it goes, unless another took its place."""
        with contextlib.suppress(FileNotFoundError), file.open("rb") as stream:
            looked_at = os.fstat(stream.fileno()).st_ino
            if reads_as(stream, file.name):
                self._right.add((file.parent.name, file.name))
                return True
            with self._lock:
                if file.stat().st_ino == looked_at:
                    self._remove(file)
        return False

    # --- expiry ------------------------------------------------------------------------------------------

    def expire(self, needed: Collection[tuple[str, str]], *, now: float | None = None) -> int:
        """Removes blobs that nobody needed for `expiry_seconds`; returns how many.

        Args:
            needed: (account, digest) of blobs that must stay. Their time begins anew with each call.
            now: Seconds since the epoch; the clock if None.
        """
        now = now or time.time()
        kept = {(account[:32], digest) for account, digest in needed}
        removed = 0
        for file in [*self._folder.glob("*/[!.]*"), *self._folder.glob(f"*/{PART}*")]:
            with contextlib.suppress(FileNotFoundError), self._lock:
                about = file.stat()
                if (file.parent.name, file.name) in kept:
                    os.utime(file, (now, now))
                elif now - about.st_mtime > self._limits.expiry_seconds:
                    self._remove(file)
                    removed += 1
        return removed

    # --- room --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, account: str, at_most: int, *, announced: str = "") -> Iterator[Blob]:
        folder = self._folder / validate.digest("account", account)[:32]
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._reserved(account, at_most), disk_full_told():
            blob = Blob(folder, at_most, self._lock, announced=announced)
            try:
                yield blob
            finally:
                blob.close()
                if blob.shows:
                    self._right.add((account[:32], blob.digest))
                self._count(account, blob.added - blob.taken, files=int(blob.is_new) - blob.parts)

    @contextlib.contextmanager
    def _reserved(self, account: str, size: int) -> Iterator[None]:
        """Room for `size` bytes is taken while this is open; who keeps them counts them before it closes."""
        if not 0 <= size <= self._limits.max_bytes:
            raise BlobError(f"A blob may have at most {self._limits.max_bytes} bytes; this one has {size}.")
        with self._lock:
            if self._files[account[:32]] >= self._limits.account_blobs:
                raise QuotaExceeded(
                    f"This account has {self._limits.account_blobs} blobs here, and may have no more. End studies that "
                    "are over, or ask the hospital."
                )
            left = self._limits.account_bytes - self._used.get(account[:32], 0)
            if size > left:
                raise QuotaExceeded(
                    f"{size} bytes do not fit: {max(left, 0)} of this account's {self._limits.account_bytes} are left. "
                    "End studies that are over, or ask the hospital."
                )
            if size > self._limits.total_bytes - sum(self._used.values()):
                raise QuotaExceeded("The datasite's room for weights and updates is used up. Ask the hospital.")
            if size > shutil.disk_usage(self._folder).free - self._limits.free_disk_bytes - self._coming:
                raise DiskFull(DISK_FULL)
            self._add(account, size)
            self._coming += size
        try:
            yield
        finally:
            with self._lock:
                self._add(account, -size)
                self._coming -= size

    def _count(self, account: str, size: int, *, files: int = 0) -> None:
        with self._lock:
            self._add(account, size, files=files)

    def _remove(self, file: Path) -> None:
        """Takes a file away, for whoever holds the lock."""
        with contextlib.suppress(FileNotFoundError):
            size = file.stat().st_size
            file.unlink()
            self._add(file.parent.name, -size, files=-1)
            self._right.discard((file.parent.name, file.name))
            self._begun.discard((file.parent.name, file.name))
            self._settling.pop((file.parent.name, file.name), None)

    def _add(self, account: str, size: int, *, files: int = 0) -> None:
        """As `_count`, for whoever holds the lock."""
        self._used[account[:32]] = self._used.get(account[:32], 0) + size
        self._files[account[:32]] += files
