"""The text of a file that somebody wrote a secret into by hand; one reader for all of them."""

from __future__ import annotations

from pathlib import Path


def secret_text(file: Path) -> str:
    """What the file holds, without the byte order mark that an editor may have put before it.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    return file.read_bytes().decode("utf-8-sig")
