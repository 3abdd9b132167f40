"""A file that is read back from the disk and has to be what was written: a look that goes wrong is taken again."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from policies.errors import StorageUnavailable

log = logging.getLogger(__name__)
LOOKS = 3
UNREADABLE = (
    "The hospital's disk cannot read this back now. Nothing was removed, and no round is charged for it; ask again "
    "later. The hospital finds the file in its log, and should look at its disk."
)


@contextlib.contextmanager
def unreadable_told(file: Path) -> Iterator[None]:
    """What the disk refuses inside, told as that and not as something wrong with the file.

    Raises:
        StorageUnavailable: The file cannot be opened or read now.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(UNREADABLE, private=f"{file} cannot be read: {error!r}.") from error


def reads_as(stream: BufferedReader, digest: str) -> bool:
    """Whether a file has a digest: in one of `LOOKS` looks, each of which has the disk read it, if it can be had to.

    Guarantees:
        False only if each look read the whole file, and all read the same: what is only hard to read is not given up.

    Args:
        stream: The file, open for reading.
        digest: SHA-256, hexadecimal.

    Raises:
        StorageUnavailable: The disk refused to read it, or reads it differently each time.
    """
    found, refused = set[str](), list[OSError]()
    for _ in range(LOOKS):
        try:
            stream.seek(0)
            read = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            refused.append(error)
        else:
            if read == digest:
                return True
            found.add(read)
        with contextlib.suppress(OSError):  # what the system has in memory of it
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if refused or len(found) > 1:
        told = "; ".join(map(repr, refused)) or f"{LOOKS} looks read {len(found)} different contents"
        raise StorageUnavailable(UNREADABLE, private=f"{stream.name} cannot be read back: {told}.")
    log.error("%s is not what was written: %d looks at the disk read the same other content.", stream.name, LOOKS)
    return False
