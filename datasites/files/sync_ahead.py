"""Syncs of a large file while it is written: its bytes go to the disk for good while the rest is still coming.

A disk's own cache makes the last sync of a file wait for all of it, also for what the system handed over long before.
Synced a few megabytes at a time by a thread beside the writing, most of it lies there when the last byte comes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

STEP_BYTES = 8 << 20
"""What is written before the disk is asked again, at least; a slow disk is asked less often, for more at once."""


class SyncAhead:
    """Syncs one file from another thread, as far as it was written. The last sync is the writer's own.

    Nothing is lost with it: a part that is not synced here is synced at the end. What the disk refuses here is told
    there, since a system tells each opening of a file of an error once.
    """

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fdatasync) -> None:
        """Begins no thread yet: small files never have one.

        Args:
            path: Of the file, which is not renamed before so much of it was written that the first part is synced.
            sync: Brings what was written of an open file to the disk; raises OSError where the disk does not take it.
        """
        self._path, self._sync = path, sync
        self._changed = threading.Condition()
        self._written = self._asked = 0  # bytes
        self._ended = self._finishes = False
        self._thread: threading.Thread | None = None
        self._failed: OSError | None = None

    def wrote(self, size: int) -> None:
        """Notes how many bytes the file has; never waits for the disk.

        Args:
            size: Bytes from the file's beginning that were handed to the system, or lie in the writer's buffer.
        """
        if size - self._asked < STEP_BYTES or self._failed:
            return
        with self._changed:
            self._written = size
            self._asked = size
            self._changed.notify()
        if self._thread is None:
            self._begin()

    def end(self) -> None:
        """Syncs no more; a sync that is under way goes on, and is not waited for."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def finish(self) -> bool:
        """Has all of the file synced beside what its writer goes on with, if a part of it was asked for before.

        Its writer has handed all of it to the system. One more sync begins after this, whatever was told to `wrote`:
        what lay in the writer's own buffer then was not handed over yet.

        Returns:
            Whether it is done here: then `wait` tells of it. If not, the last sync is the writer's own.
        """
        if self._thread is None or not self._thread.is_alive():  # what the disk refused ends it too
            return False
        with self._changed:
            self._finishes = self._ended = True
            self._changed.notify()
        return True

    def wait(self) -> None:
        """Returns once all that `finish` was told of is on the disk.

        Raises:
            OSError: The disk did not take it.
        """
        if self._thread is not None:
            self._thread.join()
        self.check()

    @property
    def has_failed(self) -> bool:
        """Whether the disk refused what it was asked to take: who opens the file from then on is not told."""
        return self._failed is not None

    def check(self) -> None:
        """Returns if the disk took all that it was asked to take.

        Raises:
            OSError: It did not, and what was written may not be there.
        """
        if self._failed is not None:
            raise self._failed

    def _begin(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # no descriptor or no thread left: then the end takes longer
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            self._thread = threading.Thread(target=self._work, args=(descriptor,), name="sync-ahead", daemon=True)
            try:
                self._thread.start()
            except BaseException:
                os.close(descriptor)
                raise

    def _work(self, descriptor: int) -> None:
        done = 0
        try:
            while (size := self._next(done)) > done:
                self._sync(descriptor)
                done = size
            if self._finishes:
                self._sync(descriptor)
        except OSError as error:
            self._failed = error
        finally:
            os.close(descriptor)

    def _next(self, done: int) -> int:
        """How much there is to sync once there is more than `done`; `done` itself once nothing more is to be."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._written > done)
            return done if self._ended else self._written
