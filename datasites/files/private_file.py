"""Files that the hospital's own account alone may read. None of them crosses the boundary."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from datasites.files.private_folder import sync_folder


def write_private(file: Path, text: str) -> None:
    """Writes a file that only this account may read (0600), whole or not at all.

    Once this returns no loss of power brings back what was there before.

    Raises:
        OSError: It cannot be written.
    """
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(file)
        sync_folder(file.parent)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
