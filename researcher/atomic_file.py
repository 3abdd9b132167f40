"""Files of the researcher's side that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from policies.errors import ConfigError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: Path | str, content: bytes | str) -> Path:
    """Writes `content` (text as UTF-8) beside `path` and moves it into place; makes the folder if needed.

    Raises:
        ConfigError: The folder or the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        advice = "Make room, or choose another folder" if error.errno in _FULL else "Choose a folder you may write to"
        raise ConfigError(f"{path} cannot be written ({error.strerror}). {advice}.") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone once it has become `path`
            part.unlink()
    return path


def check_folder(folder: Path | str) -> None:
    """Makes the folder if needed, and returns if files can be written there.

    Raises:
        ConfigError: They cannot.
    """
    write(Path(folder) / f".check-{os.getpid()}", b"").unlink()


def read(path: Path | str) -> bytes:
    """The file's content.

    Raises:
        ConfigError: It is not there or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).") from error


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keeps other processes from what this one submits from the lock's folder, for the length of a `with` block.

    Args:
        lock: A file that stands in the folder meanwhile; a process that was killed leaves it to whoever comes next.

    Raises:
        ConfigError: Another process holds it.
    """
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"Another process submits from {lock.parent} now. Wait for it and continue its study, or choose another "
            "folder."
        ) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
