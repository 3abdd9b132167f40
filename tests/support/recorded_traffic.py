"""Traffic between a researcher's side and a datasite as a file: what was asked, what was answered, and no secret.

What is random or bound to a time is not kept, or is made anew when it is replayed:

- signatures, nonces, keys and times of requests are made anew, as that release signed;
- address and password are the test's own; the key that signing in gives is `SEED`;
- identifiers that an answer gives out are those of the datasite that answers now;
- PySyft's call is kept as what it holds, and made of that again;
- of the questions whether a run has ended, the last one is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

SEED = hashlib.sha256(b"a key that only recorded traffic has").hexdigest()
PASSWORD = "a password that only recorded traffic has"
CALL = "/api/v2/api_call"
SIGN_IN = "/sign-in"
# Of a request, and of an answer.
_KEPT = ("content-type", "range", "x-wanwu-release", "x-wanwu-protocol", "x-wanwu-body-sha256")
_TOLD = ("content-type", "content-range", "etag", "x-wanwu-release", "x-wanwu-protocol")
MOST_BYTES = 100_000
Body = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    Attributes:
        method: Of HTTP.
        path: With its query.
        headers: Of the request, as far as they are kept.
        signed: Whether the request was signed.
        body: `{}` for none, else one of `json`, `text`, `base64`, `call`.
        status: Of the answer.
        answer_headers: Likewise.
        answer: Its body.
    """

    method: str
    path: str
    headers: dict[str, str]
    signed: bool
    body: Body
    status: int
    answer_headers: dict[str, str]
    answer: Body

    @property
    def place(self) -> tuple[str, str]:
        """What was asked for, whatever the question was."""
        return self.method, self.path.partition("?")[0]


@dataclass(frozen=True)
class Decided:
    """What the hospital's people did between two requests: words of their command line."""

    hospital: list[str]


Step = Exchange | Decided


@dataclass
class Recording:
    """Steps in their order, as one release made them.

    Attributes:
        release: Whose both sides were.
        steps: Requests, and what the hospital's people did between them.
    """

    release: str
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Keeps a step; of one that asks the same again, the last."""
        last = self.steps[-1] if self.steps else None
        if isinstance(step, Exchange) and isinstance(last, Exchange) and step.place == last.place:
            self.steps.pop()
        self.steps.append(step)

    @property
    def exchanges(self) -> list[Exchange]:
        return [step for step in self.steps if isinstance(step, Exchange)]

    def save(self, file: Path) -> None:
        values = {"release": self.release, "steps": [asdict(step) for step in self.steps]}
        file.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, file: Path) -> Recording:
        values = json.loads(file.read_text())
        return cls(
            values["release"],
            [Decided(**step) if "hospital" in step else Exchange(**step) for step in values["steps"]],
        )


class Recorder(httpx.BaseTransport):
    """Hands each request on, and keeps it with its answer.

    Args:
        inner: The way to the datasite.
        recording: Where it is kept.
        call: What the last of PySyft's calls holds.
    """

    def __init__(self, inner: httpx.BaseTransport, recording: Recording, call: Callable[[], Body]) -> None:
        self._inner, self._recording, self._call = inner, recording, call

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = request.read()
        answer = self._inner.handle_request(request)
        came = answer.read()
        assert max(len(sent), len(came)) <= MOST_BYTES
        path = request.url.raw_path.decode()
        asked = {"call": self._call()} if path == CALL else _body(request.headers, sent)
        answered = _body(answer.headers, came)
        if path.endswith(SIGN_IN):
            asked["json"]["password"], answered["json"]["seed"] = PASSWORD, SEED
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
        signed = "x-wanwu-signature" in request.headers
        self._recording.add(Exchange(request.method, path, headers, signed, asked, answer.status_code, told, answered))
        return httpx.Response(answer.status_code, headers=answer.headers, content=came)

    def close(self) -> None:
        self._inner.close()


class Replayed(httpx.BaseTransport):
    """A datasite of an earlier release: answers what it answered then, in that order, and knows nothing else.

    Args:
        recording: What it answered.
        asked: Called with each request and what was asked then in its place.
    """

    def __init__(self, recording: Recording, asked: Callable[[httpx.Request, Exchange], None]) -> None:
        self._left, self._asked = recording.exchanges, asked
        self._known = {exchange.place for exchange in recording.exchanges}
        self._last: Exchange | None = None

    @property
    def left(self) -> list[tuple[str, str]]:
        """What was asked then, and was not yet now."""
        return [exchange.place for exchange in self._left]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        place = request.method, request.url.raw_path.decode().partition("?")[0]
        if place not in self._known:  # a later release may ask for what this one has no route for
            return httpx.Response(404, json={"code": "WW000", "error": "Not Found"})
        if self._last is None or place != self._last.place:
            assert self._left and self._left[0].place == place, (place, self.left[:1])
            self._last = self._left.pop(0)
        self._asked(request, self._last)
        return httpx.Response(self._last.status, headers=self._last.answer_headers, content=bytes_of(self._last.answer))


def bytes_of(body: Body) -> bytes:
    """A kept body as it was sent; of PySyft's calls nothing is kept as bytes."""
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return json.dumps(body["json"]).encode() if "json" in body else str(body.get("text", "")).encode()


def texts_of(value: object) -> Iterator[str]:
    """Every text in plain values, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from (name, *texts_of(one))
    elif isinstance(value, list):
        for one in value:
            yield from texts_of(one)


def _body(headers: httpx.Headers, content: bytes) -> Body:
    if not content:
        return {}
    if "json" in headers.get("content-type", ""):
        return {"json": json.loads(content)}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    return {"text": text} if text.isprintable() else {"base64": base64.b64encode(content).decode()}
