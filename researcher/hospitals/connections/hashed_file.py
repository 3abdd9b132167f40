"""A file that arrives piece by piece: its digest is known when its last byte is, without reading it again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_CHUNK_BYTES = 1 << 20


class HashedFile:
    """A file that is written from its end on, with the SHA-256 of all its bytes."""

    def __init__(self, path: Path) -> None:
        """Opens the file, if there is one; what it holds is read once. It is made with its first byte.

        Args:
            path: Where it is.

        Raises:
            OSError: It cannot be read or written.
        """
        self.path, self.size = path, 0
        self._running = hashlib.sha256()
        self._stream: BinaryIO | None = path.open("r+b") if path.exists() else None
        while self._stream and (chunk := self._stream.read(_CHUNK_BYTES)):
            self._running.update(chunk)
            self.size += len(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._stream:
            self._stream.close()

    @property
    def digest(self) -> str:
        """Of all bytes, hexadecimal."""
        return self._running.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._stream = self._stream or self.path.open("xb")
        self._running.update(chunk)
        self._stream.write(chunk)
        self.size += len(chunk)

    def begin_again(self) -> None:
        """Leaves nothing of what the file holds."""
        if self._stream:
            self._stream.seek(0)
            self._stream.truncate()
        self._running, self.size = hashlib.sha256(), 0
