"""The researcher's side of a datasite's own routes: weights out, updates and progress in, each request signed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx

from policies import errors
from policies.contracts.signatures import EMPTY_BODY, sign
from policies.errors import DatasiteUnreachable, FederationError, WanwuError
from policies.ledger.receipt import MAX_RECEIPT_BYTES
from policies.untrusted_text import is_plain
from researcher.hospitals.secure_channel import SecureChannel

_PREFIX = "/wanwu/v1"
# HTTP: the range begins at the end of the file, or behind it.
_NOTHING_BEHIND = 416


class Wire:
    """One datasite's routes, for one account."""

    def __init__(self, channel: SecureChannel, seed: bytes) -> None:
        self.url = channel.url
        self._seed = seed
        self._channel = channel

    def info(self) -> dict[str, Any]:
        """Versions, datasets and limits of the datasite."""
        return self._json("GET", "/info")

    def budget(self, dataset: str) -> dict[str, Any]:
        """What is left of a dataset's privacy budget."""
        return self._json("GET", f"/datasets/{dataset}/budget")

    def request(self, request_id: str) -> dict[str, Any]:
        """State of a code request and the hospital's reason."""
        return self._json("GET", f"/requests/{request_id}")

    def receipt(self, request_id: str) -> str:
        """The signed privacy receipt of a request, a text that can be printed as it is.

        Raises:
            FederationError: It is too large for one, or holds what a terminal would obey.
        """
        text = str(self._json("GET", f"/requests/{request_id}/receipt")["receipt"])
        if len(text) > MAX_RECEIPT_BYTES or not all(map(is_plain, text.split("\n"))):
            raise FederationError(f"{self.url} gave a receipt that cannot be one. Ask the hospital.")
        return text

    def end(self, request_id: str) -> dict[str, Any]:
        """Ends an approved request."""
        return self._json("POST", f"/requests/{request_id}/end")

    def run(self, request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> dict[str, Any]:
        """Public fields of a round's run, once it changed since version `seen` or the time is up."""
        return self._json("GET", f"/requests/{request_id}/rounds/{round_index}?seen={seen}&wait={wait_seconds:g}")

    def cancel(self, request_id: str, round_index: int) -> dict[str, Any]:
        """Cancels a round."""
        return self._json("POST", f"/requests/{request_id}/rounds/{round_index}/cancel")

    def put_blob(self, content: bytes, *, digest: str = "") -> str:
        """Uploads bytes and returns their digest, which may be given where it is known."""
        digest = digest or hashlib.sha256(content).hexdigest()
        self._send("PUT", f"/blobs/{digest}", body_sha256=digest, content=content)
        return digest

    def get_blob(self, digest: str, file: Path, *, max_bytes: int) -> int:
        """Downloads a blob into `file`, checks its digest, and returns its size in bytes.

        A download that breaks off goes on where it was, here or at the next call with the same file.

        Raises:
            FederationError: It is larger than `max_bytes`, or its digest is another; the file is removed then.
            DatasiteUnreachable: The connection broke and does not come back; the file holds what came.
        """
        while True:
            begun = file.stat().st_size if file.exists() else 0
            try:
                self._download(digest, file, begun, max_bytes)
                break
            except DatasiteUnreachable:
                if not file.exists() or file.stat().st_size == begun:
                    raise
        with file.open("rb") as stream:
            came = hashlib.file_digest(stream, "sha256").hexdigest()
        if came != digest:
            file.unlink()
            raise FederationError(f"{self.url} sent an update that does not have its digest. Ask for it again.")
        return file.stat().st_size

    def _download(self, digest: str, file: Path, begun: int, max_bytes: int) -> None:
        """Appends the bytes from `begun` on; writes the file anew if the datasite sends it whole."""
        path = f"{_PREFIX}/blobs/{digest}"
        headers = {**sign(self._seed, "GET", path), "accept-encoding": "identity"}
        if begun:
            headers["range"] = f"bytes={begun}-"
        with self._channel.stream("GET", path, headers=headers) as answer:
            if answer.status_code == _NOTHING_BEHIND:
                return
            if answer.status_code >= 400:
                answer.read()
                raise answered_error(answer)
            goes_on = answer.headers.get("content-range", "").startswith(f"bytes {begun}-")
            size = begun if begun and goes_on else 0
            with file.open("r+b" if size else "wb") as stream:
                stream.seek(size)
                for chunk in answer.iter_bytes():
                    size += len(chunk)
                    if size > max_bytes:
                        file.unlink()
                        raise FederationError(f"{self.url} sent more than {max_bytes} bytes for an update.")
                    stream.write(chunk)

    def _json(self, method: str, path: str) -> dict[str, Any]:
        answer = self._send(method, path)
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise FederationError(f"{self.url} gave an answer that this version does not understand.")
        return content

    def _send(
        self, method: str, path: str, *, body_sha256: str = EMPTY_BODY, content: bytes | None = None
    ) -> httpx.Response:
        path = f"{_PREFIX}{path}"
        headers = sign(self._seed, method, path, body_sha256)
        answer = self._channel.request(method, path, headers=headers, content=content)
        if answer.status_code >= 400:
            raise answered_error(answer)
        return answer


def raise_answer(code: str, text: str) -> None:
    """Raises what a datasite answered as the error class with that code."""
    raise _of_code(code, text)


def answered_error(answer: httpx.Response) -> WanwuError:
    """What a datasite answered as the error class with that code."""
    try:
        content = answer.json()
        return _of_code(str(content["code"]), str(content["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return FederationError(f"The datasite answered with HTTP status {answer.status_code}.")


def _of_code(code: str, text: str) -> WanwuError:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, WanwuError) and kind.code == code:
            return kind(text)
    return FederationError(text)
