"""Looks at the device that runs of one fork server have passed: kept in the datasite, told to later runs, told nowhere.

A look is three passes over made-up pictures before a private one is read. All runs of one fork server have its
library, threads and device, so a run of the same kind need not look again. What is kept ends with the fork server, and
no run can reach it: it lies in the datasite's memory, and of a run's words one line counts, said before any weights
are read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

from datasites.runs.processes.job import Job

MAX_KEPT = 64
LOOKED = "looked "


class DeviceLooks:
    """Looks by kind of run, the one that was needed least lately forgotten first; nothing of a rehearsal's."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def told(self, job: Job) -> Job:
        """The job with the look that counts for it, if there is one. A rehearsal always looks itself."""
        if job.rehearses:
            return replace(job, look="")
        with self._lock:
            look = self._kept.get(job.kind(), "")
            if look:
                self._kept.move_to_end(job.kind())
        return replace(job, look=look)

    def keep(self, job: Job, look: str = "") -> None:
        """Keeps the look that a run of this job has passed; of a run that was told one, and of a rehearsal, nothing."""
        if job.rehearses or job.look or not look:
            return
        with self._lock:
            self._kept[job.kind()] = look
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)

    def forget(self, job: Job) -> None:
        """Forgets the look of a run that ended otherwise than well: the next of its kind looks itself."""
        with self._lock:
            self._kept.pop(job.kind(), None)
