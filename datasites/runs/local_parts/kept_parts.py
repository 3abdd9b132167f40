"""The kept local parts of a datasite: of each study the last one, in a folder of its own. None of it leaves.

Which one is the last, the ledger says: a file is named for the round and for the update that it was made with, and
counts once the ledger has committed that update. So a stop at any moment leaves the part of the last completed round.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from datasites.files.private_folder import sync_folder
from datasites.runs.local_parts.round_part import RoundPart, disk_full_told, unreadable_told
from policies.contracts.weights import FiniteArrays, Malformed, Shapes
from policies.contracts.weights_file import canonical_size, read_whole
from policies.errors import RequestAltered
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.plan_json import sha256_text

KEPT = 2
"""Files that are kept of a study: the last, and the one before, which an older copy of the ledger still names."""
_ASIDE = ".next-"
_LOST = (
    "This hospital no longer has the part of the model that stays there, so no round of this request runs there any "
    "more. End it, and submit the plan again."
)


class LocalParts:
    """The local parts of one datasite. At most one round of a request runs at a time.

    Args:
        folder: Where they lie; made when it is first needed.
        ledger: Says which rounds have ended with an update.
        free_disk_bytes: What must stay free on the disk, for the ledger and the queue.
    """

    def __init__(self, folder: Path, ledger: Ledger, *, free_disk_bytes: int = 0) -> None:
        self._folder, self._ledger, self._free_disk_bytes = folder, ledger, free_disk_bytes

    def of(self, request_id: str) -> Path:
        """The folder of a request's parts, whether or not there is one."""
        return self._folder / sha256_text(request_id)[:32]

    def last(self, request_id: str, shapes: Shapes) -> FiniteArrays | None:
        """The local part of the request's last completed round; None before the first.

        Args:
            request_id: Whose.
            shapes: Name → shape of each parameter that stays.

        Returns:
            Name → float32 array of its shape.

        Raises:
            RequestAltered: A round has completed and no part of it is there, or it is another.
            StorageUnavailable: The disk does not let it be read now.
            LedgerBroken: The ledger does not verify.
        """
        completed = self._completed(request_id)
        found = [file for name in reversed(completed) if (file := self.of(request_id) / name).is_file()]
        if not found:
            if completed:
                raise RequestAltered(_LOST, private=f"{self.of(request_id)} holds none of this study's local parts.")
            return None
        try:
            with unreadable_told(found[0]):
                return read_whole(found[0], shapes, max_bytes=canonical_size(shapes))
        except Malformed as error:
            raise RequestAltered(_LOST, private=f"{found[0]} is not this study's local part: {error}.") from error

    @contextlib.contextmanager
    def next(self, request_id: str, whole: Shapes, stays: Shapes) -> Iterator[RoundPart]:
        """The local part of the request's next round, with room on the disk for what will become of it.

        Args:
            request_id: Whose.
            whole: Name → shape of each parameter of the model.
            stays: Those that stay.

        Raises:
            DiskFull: There is no room.
            RequestAltered, StorageUnavailable, LedgerBroken: As `last`.
        """
        begins, size = self.last(request_id, stays), canonical_size(stays)
        folder = self.of(request_id)
        aside = folder / f"{_ASIDE}{secrets.token_hex(8)}"
        try:
            with disk_full_told():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._folder.chmod(0o700)
                self._tidy(request_id)
                if shutil.disk_usage(folder).free < size + self._free_disk_bytes:
                    raise OSError(errno.ENOSPC, "no room beside what must stay free")
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                with disk_full_told():
                    os.posix_fallocate(descriptor, 0, size)
                yield RoundPart(whole, stays, begins, stream, aside)
        finally:
            aside.unlink(missing_ok=True)

    def expire(self, live: Callable[[], Collection[str]]) -> int:
        """Removes the parts of requests that have ended; returns of how many.

        Args:
            live: Returns the requests that are approved and have not ended. Called after the folders were looked at:
                one of a request that begins meanwhile is none of them.
        """
        there = list(self._folder.glob("*/"))
        needed = {self.of(request_id).name for request_id in live()}
        over = [folder for folder in there if folder.name not in needed]
        for folder in over:
            shutil.rmtree(folder)
        if over:
            sync_folder(self._folder)
        return len(over)

    def _completed(self, request_id: str) -> list[str]:
        """The files of the rounds that have ended with an update, in the order in which they ended."""
        held = self._ledger.held(request_id)
        ended = {} if held is None else held.committed
        return [file_name(at, one.update_digest) for at, one in ended.items() if one.update_digest != NOTHING_LEFT]

    def _tidy(self, request_id: str) -> None:
        """Removes what no round begins with any more: of rounds that did not complete, and all but the last ones."""
        here = {file.name: file for file in self.of(request_id).iterdir()}
        kept = [name for name in self._completed(request_id) if name in here][-KEPT:]
        for name in here.keys() - set(kept):
            here[name].unlink(missing_ok=True)


def file_name(round_index: int, update_digest: str) -> str:
    """What the file of a round's local part is called.

    Args:
        round_index: From 0.
        update_digest: Of the update that left in that round.
    """
    return f"{round_index:05d}-{update_digest}.safetensors"
