"""The files of a request, read into memory alone: a part of a form is written nowhere, however large it is.

Their names are not read, so that none can reach a log, a metric or an answer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from policies.errors import BodyTooLarge, RequestMalformed

MAX_PART_HEAD = 8 << 10
_FORM = re.compile(r"multipart/form-data\b", re.IGNORECASE)
_BOUNDARY = re.compile(
    r""";\s*boundary=(?:"([0-9A-Za-z'()+_,./:=? -]{1,70})"|([0-9A-Za-z'()+_,./:=?-]{1,70}))""", re.IGNORECASE
)
_EXPECTED = (
    "Send one file as the body (curl --data-binary @picture.png -H 'Content-Type: image/png'), "
    "or one or several as a form (curl -F pictures=@picture.png)."
)

# It writes bytes of a form that it cannot read to its log.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


def announced_bytes(lengths: list[str], most: int) -> int:
    """How many bytes a request says it has, `most` where it does not say.

    Raises:
        BodyTooLarge: More than `most`.
        RequestMalformed: It says several lengths, or none that is a number.
    """
    if not lengths:
        return most
    if len(lengths) > 1 or not lengths[0].isascii() or not lengths[0].isdigit():
        raise RequestMalformed("A request says its length once, as a number.")
    if len(lengths[0].lstrip("0")) > len(str(most)) or int(lengths[0]) > most:
        raise _too_large(most)
    return int(lengths[0])


async def files_of(content_type: str, chunks: AsyncIterator[bytes], *, most_bytes: int, most_files: int) -> list[bytes]:
    """Reads the files of a request: the parts of a form, or the body itself.

    Args:
        content_type: As the request says it.
        chunks: Its body.
        most_bytes: Of the body.
        most_files: Of them.

    Raises:
        BodyTooLarge: More bytes, or more files.
        RequestMalformed: No file, an empty one, or no whole form.
    """
    parts = _Parts(_boundary(content_type), most_files) if _FORM.match(content_type) else None
    body, came = bytearray(), 0
    async for chunk in chunks:
        came += len(chunk)
        if came > most_bytes:
            raise _too_large(most_bytes)
        if parts is None:
            body += chunk
        else:
            parts.write(chunk)
    files = [bytes(body)] if parts is None else parts.finished()
    if not files or not all(files):
        raise RequestMalformed(f"Expected a picture, the request has none or an empty one. {_EXPECTED}")
    return files


class _Parts:
    """The parts of a form, as they come."""

    def __init__(self, boundary: bytes, most_files: int) -> None:
        self._most, self._head, self._ended = most_files, 0, False
        self._files: list[bytearray] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_header_field": self._header,
                "on_header_value": self._header,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise RequestMalformed(f"The form cannot be read. {_EXPECTED}") from error

    def finished(self) -> list[bytes]:
        if not self._ended:
            raise RequestMalformed(f"The form ends before its last boundary. {_EXPECTED}")
        return [bytes(file) for file in self._files]

    def _begin(self) -> None:
        if len(self._files) == self._most:
            raise BodyTooLarge(f"A request takes at most {self._most} pictures, more came. Send several requests.")
        self._files.append(bytearray())
        self._head = 0

    def _header(self, data: bytes, start: int, end: int) -> None:
        self._head += end - start
        if self._head > MAX_PART_HEAD:
            raise RequestMalformed(f"The head of a part has more than {MAX_PART_HEAD} bytes. {_EXPECTED}")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._files[-1] += data[start:end]

    def _end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise RequestMalformed(f"The form names no boundary. {_EXPECTED}")
    return (found[1] or found[2]).encode("ascii")


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"A request takes at most {most} bytes, more came. Send fewer or smaller pictures.")
