"""The researcher's side of a datasite's own routes: weights out, updates and progress in, each request signed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx

from policies import errors
from policies.errors import FederationError, WanwuError
from policies.signatures import EMPTY_BODY, sign
from researcher.secure_channel import SecureChannel

_PREFIX = "/wanwu/v1"
CHUNK_BYTES = 1 << 20


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
        """The signed privacy receipt of a request."""
        return str(self._json("GET", f"/requests/{request_id}/receipt")["receipt"])

    def end(self, request_id: str) -> dict[str, Any]:
        """Ends an approved request."""
        return self._json("POST", f"/requests/{request_id}/end")

    def run(self, request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> dict[str, Any]:
        """Public fields of a round's run, once it changed since version `seen` or the time is up."""
        return self._json("GET", f"/requests/{request_id}/rounds/{round_index}?seen={seen}&wait={wait_seconds:g}")

    def cancel(self, request_id: str, round_index: int) -> dict[str, Any]:
        """Cancels a round."""
        return self._json("POST", f"/requests/{request_id}/rounds/{round_index}/cancel")

    def put_blob(self, content: bytes) -> str:
        """Uploads bytes and returns their digest."""
        digest = hashlib.sha256(content).hexdigest()
        self._send("PUT", f"/blobs/{digest}", body_sha256=digest, content=content)
        return digest

    def get_blob(self, digest: str, file: Path, *, max_bytes: int) -> int:
        """Downloads a blob into `file`, checks its digest, and returns its size in bytes.

        Raises:
            FederationError: It is larger than `max_bytes`, or its digest is another.
        """
        path = f"{_PREFIX}/blobs/{digest}"
        size, running = 0, hashlib.sha256()
        with (
            self._channel.stream("GET", path, headers=sign(self._seed, "GET", path)) as answer,
            file.open("wb") as stream,
        ):
            if answer.status_code >= 400:
                answer.read()
                raise answered_error(answer)
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise FederationError(f"{self.url} sent more than {max_bytes} bytes for an update.")
                running.update(chunk)
                stream.write(chunk)
        if running.hexdigest() != digest:
            raise FederationError(f"{self.url} sent an update that does not have its digest. Ask for it again.")
        return size

    def _json(self, method: str, path: str) -> dict[str, Any]:
        content = self._send(method, path).json()
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
    except (ValueError, KeyError, TypeError):
        return FederationError(f"The datasite answered with HTTP status {answer.status_code}.")


def _of_code(code: str, text: str) -> WanwuError:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, WanwuError) and kind.code == code:
            return kind(text)
    return FederationError(text)
