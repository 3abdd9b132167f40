"""Content-addressed files: global weights that come in, client updates that go out. A folder for each account.

A blob can be read only by the account it was put for, and a torn one never shows: it is written aside, synced and
renamed once its digest is known to be right.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from policies import validate
from policies.errors import BlobError, BlobUnknown, PlanError

CHUNK_BYTES = 1 << 20


class BlobStore:
    """The blobs of one datasite."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    async def receive(self, account: str, digest: str, chunks: AsyncIterator[bytes]) -> int:
        """Stores a stream under its digest, in bounded memory, and returns its size in bytes.

        Raises:
            BlobError: It is too large, or its digest is not the announced one.
        """
        target = self._path(account, digest)
        aside = self._aside(target)
        size, running = 0, hashlib.sha256()
        try:
            with aside.open("xb") as stream:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise BlobError(f"A blob may have at most {self._max_bytes} bytes; the upload has more.")
                    running.update(chunk)
                    stream.write(chunk)
                _sync(stream.fileno())
            if running.hexdigest() != digest:
                raise BlobError("The upload does not have the digest it was announced with. Send it again.")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return size

    def put(self, account: str, content: bytes) -> str:
        """Stores bytes and returns their digest."""
        digest = hashlib.sha256(content).hexdigest()
        target = self._path(account, digest)
        aside = self._aside(target)
        with aside.open("xb") as stream:
            stream.write(content)
            _sync(stream.fileno())
        aside.replace(target)
        return digest

    def path(self, account: str, digest: str) -> Path:
        """The file of a blob.

        Raises:
            BlobUnknown: This account has no such blob.
        """
        try:
            file = self._path(account, digest)
        except PlanError as error:
            raise BlobUnknown(error.public) from error
        if not file.is_file():
            raise BlobUnknown(f"No blob {digest[:12]}… for this account. Upload it first.")
        return file

    def _path(self, account: str, digest: str) -> Path:
        validate.digest("account", account)
        validate.digest("digest", digest)
        folder = self._folder / account[:32]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / digest

    def _aside(self, target: Path) -> Path:
        return target.with_name(f".{target.name[:16]}.{secrets.token_hex(8)}")


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
