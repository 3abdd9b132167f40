"""What is decided on a path is decided on the one that was sent, whatever the host, and none has two readings."""

from __future__ import annotations

import asyncio
import random
import re
import string
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.blob_app import blob_app

from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.web.request_bounds import DATA_ONLY, RequestBounds
from datasites.web.served_path import served_path, signed_path
from policies.contracts.signatures import sign
from policies.errors import RequestMalformed

PROJECT = Path(__file__).resolve().parents[3]
NAMES = ("north.hospital.org", "127.0.0.1", "::1")


class App:
    """A fake of all that lies behind the request's bounds."""

    served = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.served += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def scope_of(path: bytes, *hosts: bytes) -> dict[str, Any]:
    return {
        "type": "http", "method": "GET", "raw_path": path, "path": path.decode("latin-1"), "query_string": b"a=b%20c",
        "headers": [(b"host", host) for host in hosts],
    }  # fmt: skip


def answer(app: App, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(RequestBounds(app, hosts=NAMES, limits=(), content_policy=DATA_ONLY)(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    "host", ["north.hospital.org", "NORTH.hospital.org:8081", "127.0.0.1", "127.0.0.1:1", "[::1]:8081", "[::1]"]
)
def test_a_request_for_a_name_of_the_certificate_is_served(host: str) -> None:
    app = App()
    assert answer(app, scope_of(b"/info", host.encode()))[0]["status"] == 200
    assert app.served == 1


@pytest.mark.parametrize(
    "hosts",
    [
        (), (b"",), (b"south.hospital.org",), (b"north.hospital.org.example.org",), (b"north.hospital.org:x",),
        (b"a@north.hospital.org",), (b"north.hospital.org/x",), (b"north.hospital.org", b"north.hospital.org"),
        (b"\xff" * 300,),
    ],
)  # fmt: skip
def test_a_request_for_any_other_host_gets_one_refusal_and_reaches_nothing(hosts: tuple[bytes, ...]) -> None:
    app = App()
    start, body = answer(app, scope_of(b"/info", *hosts))
    assert (start["status"], app.served) == (421, 0)
    assert b"WW612" in body["body"]


@pytest.mark.parametrize(
    "path",
    [b"", b"info", b"//info", b"/a//b", b"/a/./b", b"/..", b"/a/..", b"/a%2Fb", b"/a%41", b"/a b", b"/a\\b", b"/\xe9"],
)  # fmt: skip
def test_a_path_with_two_readings_is_refused_and_reaches_nothing(path: bytes) -> None:
    app = App()
    start, body = answer(app, scope_of(path, b"127.0.0.1"))
    assert (start["status"], app.served) == (400, 0)
    assert b"WW611" in body["body"]


def test_random_paths_pass_only_where_path_and_bytes_are_the_same() -> None:
    drawn = random.Random(0)
    letters = string.ascii_lowercase + "/.%2F\\;?#~é"
    for _ in range(2000):
        path = "/" + "".join(drawn.choice(letters) for _ in range(drawn.randrange(12)))
        try:
            served = served_path(scope_of(path.encode()))
        except RequestMalformed:
            continue
        assert served == path == httpx.URL(f"http://north{path}").path


def test_what_a_signature_covers_does_not_depend_on_the_host() -> None:
    assert signed_path(scope_of(b"/a/b", b"x?y/z#")) == "/a/b?a=b%20c"


def test_a_signed_request_is_judged_alike_under_every_host_header(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    blobs = BlobStore(tmp_path / "blobs", limits=BlobLimits(max_bytes=1000))
    app = blob_app(blobs)
    path, drawn = f"/wanwu/v1/blobs/{'ab' * 32}", random.Random(0)

    async def ask(host: str) -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://north") as client:
            answer = await client.get(path, headers={**sign(b"1" * 32, "GET", path), "host": host})
            return str(answer.json()["code"])

    for _ in range(50):
        host = "".join(drawn.choice(string.ascii_letters + "/?#@:") for _ in range(8))
        assert asyncio.run(ask(host)) == "WW504", host


def test_no_code_of_a_datasite_reads_a_url_that_a_host_header_has_part_in() -> None:
    found = [
        str(file)
        for file in (PROJECT / "datasites").rglob("*.py")
        if re.search(r"request\.(url|base_url)\b|\.url_for\(", file.read_text())
    ]
    assert not found
