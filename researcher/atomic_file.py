"""Files of the researcher's side that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import contextlib
import errno
import os
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
        raise unwritable(path, error) from error
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


def unwritable(path: Path, error: OSError) -> ConfigError:
    """What is told of a file that the system did not let be written, and what to do."""
    advice = "Make room, or choose another folder" if error.errno in _FULL else "Choose a folder you may write to"
    return ConfigError(f"{path} cannot be written ({error.strerror}). {advice}.")
