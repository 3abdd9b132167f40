"""The words for a disk that has no room for a blob, or did not keep one."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from policies.errors import DiskFull

DISK_FULL = "The datasite's disk has no room for this blob. Nothing was kept. Ask the hospital, and try again later."
NOT_TAKEN = "The hospital's disk did not take the weights: no round was run or charged. Try again, or ask there."
TORN = "The hospital's disk did not keep the round's weights while it waited. Try again: they are sent anew."


@contextlib.contextmanager
def disk_full_told() -> Iterator[None]:
    """Says so, in words that a researcher may read, where the system refuses to write."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
            raise DiskFull(DISK_FULL, private=repr(error)) from error
        raise
