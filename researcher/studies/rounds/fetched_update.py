"""A client update on its way from a hospital: its bytes, and the file that they are in as long as they are read."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from policies.errors import BlobUnknown, ConfigError, FederationError, RunLost

_GONE = (
    "The hospital charged this round and does not have its update any more, as its disk did not keep it or it was not "
    "fetched in time. It is not run again: go on with the next round."
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def kept_here(datasite: str) -> Iterator[Path]:
    """A file for the update, as long as it is looked at by its name.

    Raises:
        ConfigError: This machine has no room for it, or does not let it be written or read.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "update"
    except OSError as error:
        where = error.filename or os.environ.get("TMPDIR") or "the folder of temporary files"
        if error.errno not in _NO_ROOM:
            raise _unreadable(datasite, where, error.strerror) from error
        raise ConfigError(
            f"The update of '{datasite}' cannot be kept in {where} here ({error.strerror}). Make room "
            "there, or name a folder that has room in TMPDIR, and run it again: the hospital keeps the update."
        ) from error


def unreadable(datasite: str, why: Exception) -> ConfigError:
    """The error of an update that was checked, lies on this machine's disk, and is not given back by it."""
    return _unreadable(datasite, os.environ.get("TMPDIR") or "the folder of temporary files", why)


def _unreadable(datasite: str, where: str, why: object) -> ConfigError:
    return ConfigError(
        f"The update of '{datasite}' cannot be kept in {where} here and read back ({why}). Look at that disk, or name "
        "another folder in TMPDIR, and run it again: the hospital keeps the update."
    )


def fetch(take: Callable[[], int]) -> int:
    """Takes an update's bytes and returns how many they are; if they come wrong, once more from the beginning.

    Raises:
        RunLost: The hospital has them no more.
        WanwuError: As `take`.
    """
    try:
        try:
            return take()
        except FederationError as error:
            if type(error) is not FederationError:  # what came is not what the digest names: its disk reads it again
                raise
            return take()
    except BlobUnknown as error:
        raise RunLost(_GONE, private=error.public) from error
