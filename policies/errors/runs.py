"""Errors of runs, their queue, their processes and their blobs."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class RunError(WanwuError):
    """Base of what goes wrong while a run is queued or executed."""

    code, status = "WW500", 500


class RunFailed(RunError):
    """A run could not be started; nothing was read and nothing was spent."""

    code = "WW501"


class RunLost(RunFailed):
    """A run that had started ended without an update: its round is charged, and is not run again."""

    code = "WW511"


class RunCancelled(RunError):
    """A run was cancelled, by the hospital or by the researcher who asked for it, before it started."""

    code, status = "WW502", 409


class BlobError(RunError):
    """A blob is missing, too large, or does not have the digest it was announced with."""

    code, status = "WW503", 422


class BlobUnknown(BlobError):
    """No blob of that digest that this account may read."""

    code, status = "WW504", 404


class SandboxMissing(RunError):
    """The hospital's machine lacks a piece of the sandbox that its settings ask for: runs are refused."""

    code, status = "WW505", 503


class QuotaExceeded(BlobError):
    """A blob does not fit into what the account, or the datasite, may keep."""

    code, status = "WW508", 507


class DiskFull(BlobError):
    """The datasite's disk has no room for a blob, or takes none."""

    code, status = "WW509", 507


class ProcessGroupBroken(RunError):
    """One of the processes that train together ended before the others."""

    code, status = "WW510", 500


class OutOfMemory(RunError):
    """The hospital's memory did not hold a part of a step."""

    code, status = "WW513", 500


class NotRepeatable(RunError):
    """A device computes a picture's gradient differently beside other pictures, or in another pass."""

    code, status = "WW512", 500
