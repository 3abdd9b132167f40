"""Files that an installation wrote, each told by its first line, so that it can be taken away and nothing else can."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from policies.errors import ConfigError

_MARK = "# Written by Wanwu's installation; its digest: "


def marked(content: str) -> str:
    """A file's content with the line before it that tells who wrote it and what followed then."""
    return f"{_MARK}{hashlib.sha256(content.encode()).hexdigest()}\n{content}"


def is_unchanged(text: str) -> bool:
    """Whether a file is one that `marked` made and nobody has changed since."""
    return text == marked(text.partition("\n")[2])


def is_marked(text: str) -> bool:
    """Whether a file begins as `marked` begins, changed since or not."""
    return text.startswith(_MARK)


def write_each(files: Mapping[Path, str]) -> None:
    """Writes files that are not there, or that an earlier installation wrote.

    Guarantees:
        Nothing is written unless all can be: a file of somebody else is left as it is.

    Args:
        files: Path → content, without the line before it.

    Raises:
        ConfigError: A file of somebody else is in the way, or a folder cannot be written.
    """
    for path in files:
        found = _read(path)
        if found is not None and not is_unchanged(found):
            whose = "was changed since it was installed" if is_marked(found) else "is not of an installation"
            raise ConfigError(f"{path} {whose}. Nothing was written: look at it, and move it away first.")
    for path, content in files.items():
        aside = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)  # of an installation that was killed
            new = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)  # a new file, whatever a link leads to
            with open(new, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
                stream.write(marked(content))
            aside.chmod(0o644)
            aside.replace(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}). Install it as root.") from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()


def remove_each(paths: Mapping[Path, str]) -> tuple[list[Path], list[Path]]:
    """Takes away what an installation wrote.

    Args:
        paths: Path → content that an installation would write today; it may be of another version.

    Returns:
        What was removed, and what was left since somebody changed it.

    Raises:
        ConfigError: A file cannot be removed.
    """
    removed, left = [], []
    for path in paths:
        found = _read(path)
        if found is None:
            continue
        if not is_unchanged(found):
            left.append(path)
            continue
        try:
            path.unlink()
        except OSError as error:
            raise ConfigError(f"{path} cannot be removed ({error.strerror}). Do it as root.") from error
        removed.append(path)
    return removed, left


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read. Nothing was changed.") from error
