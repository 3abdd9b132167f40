"""The words for a disk that has no room for a blob."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from policies.errors import DiskFull

DISK_FULL = "The datasite's disk has no room for this blob. Nothing was kept. Ask the hospital, and try again later."


@contextlib.contextmanager
def disk_full_told() -> Iterator[None]:
    """Says so, in words that a researcher may read, where the system refuses to write."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
            raise DiskFull(DISK_FULL, private=repr(error)) from error
        raise
