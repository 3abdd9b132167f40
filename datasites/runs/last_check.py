"""Checks an approval once more right before its run starts, and that the pictures are those it was given for.

Between queueing and starting a plan, a policy, a decision or a store may have changed; then nothing runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from datasites.approvals.approval import Approval
from datasites.assets.published import PublishedDataset
from datasites.assets.store import MANIFEST, array_files, open_store
from datasites.runs.queue import Run
from policies.errors import RequestAltered, StoreBroken

Stamps = tuple[tuple[int, ...], ...]


class LastCheck:
    """What the supervisor asks before each run.

    Args:
        approved_now: Returns a request's approval after computing its digest again.
    """

    def __init__(self, approved_now: Callable[[str], Approval]) -> None:
        self._approved_now = approved_now
        self._verified: dict[Path, Stamps] = {}
        self._lock = threading.Lock()

    def __call__(self, run: Run) -> Approval:
        """Returns the approval that the run stands under.

        Guarantees:
            Returns only if the approval's digest, computed now, is the recorded one, and every picture, label, unit
            and report on disk is what the published manifest was made from. A store is read in full again whenever the
            system has noted a change of one of its files.

        Raises:
            RequestPending, RequestDenied, RequestAltered: There is no such approval, or it covers something else.
            StoreBroken: The store on disk is not the published one.
        """
        approval = self._approved_now(run.request_id)
        if (approval.request_id, approval.account) != (run.request_id, run.account):
            raise RequestAltered("What would run is not what the hospital approved. Submit the plan again.")
        self._check_store(approval.published)
        return approval

    def _check_store(self, published: PublishedDataset) -> None:
        with self._lock:
            stamps = _stamps(published)
            if self._verified.get(published.store) == stamps:
                return
            store = open_store(published.store)
            if store.manifest != published.manifest:
                raise StoreBroken("The store on disk is not the one that was published. Restore it, or start anew.")
            store.verify()
            if _stamps(published) != stamps:
                raise StoreBroken("The store changed while it was read. Try again when nothing writes to it.")
            self._verified[published.store] = stamps


def _stamps(published: PublishedDataset) -> Stamps:
    """What the system notes of each file: which it is, how long, and when it or its attributes last changed."""
    try:
        found = [(published.store / name).stat() for name in (MANIFEST, *array_files(published.manifest))]
    except OSError as error:
        raise StoreBroken("A file of the store is missing. Restore it from a copy.", private=str(error)) from error
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)
