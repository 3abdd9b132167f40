"""Files of the researcher's side that are either the old ones or the new ones, never half of each.

Once one is written it is there after a loss of power too: what a hospital has charged stands in such files.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from policies.errors import ConfigError

# Of file systems that know no such thing for a folder, as some network shares.
_CANNOT_BE_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: Path | str, content: bytes | str) -> Path:
    """Writes `content` (text as UTF-8) beside `path` and moves it into place; makes the folder if needed.

    Raises:
        ConfigError: The folder or the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        make_folder(path.parent)
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # it is gone once it has become `path`
            part.unlink()
    return path


def make_folder(folder: Path) -> None:
    """Makes a folder, and those that it is in, if needed; each new one's name is safely on the disk.

    Raises:
        OSError: It cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Puts what is in a folder under which name safely on the disk, where its file system can.

    Raises:
        OSError: The disk refuses.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # one that may be written to and not be listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_BE_SYNCED:
            raise
    finally:
        os.close(descriptor)


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


def unwritable(path: Path, error: OSError) -> ConfigError:
    """What is told of a file that the system did not let be written, and what to do."""
    advice = "Make room, or choose another folder" if error.errno in _FULL else "Choose a folder you may write to"
    return ConfigError(f"{path} cannot be written ({error.strerror}). {advice}.")
