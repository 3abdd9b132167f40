"""A blob on its way out: whole, or the rest of a download that broke off (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from datasites.files.blob import CHUNK_BYTES
from policies.errors import RangeRefused

_REST = re.compile(r"bytes=([0-9]{1,15})-")
_NEVER = "Thu, 01 Jan 1970 00:00:00 GMT"


class Download(FileResponse):
    """The answer with a blob's bytes, in parts of bounded size.

    Guarantees:
        Nothing in it hangs on when the blob was written, which would tell when a run really ended: a blob is its
        digest's and never modified, and its headers say so.

    What goes wrong on the way can be told nobody any more: the line is cut, and the next look at the blob says it.
    """

    chunk_size = CHUNK_BYTES

    def __init__(self, file: Path, digest: str, unread: Callable[[], None]) -> None:
        """Prepares the answer.

        Args:
            file: The blob's.
            digest: Its name.
            unread: Told where the disk did not read it to its end.
        """
        headers = {"etag": f'"{digest}"', "last-modified": _NEVER}
        super().__init__(file, media_type="application/octet-stream", headers=headers)
        self._unread = unread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            self._unread()
            raise


def check_range(request: Request, file: Path) -> int:
    """From which byte on a file is asked for, to its end.

    Raises:
        RangeRefused: Something else is asked for.
    """
    asked = request.headers.getlist("range")
    if not asked:
        return 0
    found = _REST.fullmatch(asked[0]) if len(asked) == 1 else None
    if found is None or int(found[1]) >= file.stat().st_size:
        raise RangeRefused("A download goes on with 'Range: bytes=N-', from a byte N that the blob has.")
    return int(found[1])
