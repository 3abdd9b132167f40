"""What comes in is bounded, announced or not; what goes out carries the headers, errors included."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from datasites.web.http_errors import add_error_handlers
from datasites.web.request_bounds import DATA_ONLY, OTHERWISE, BodyLimit, enclose


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()

    @app.post("/small/{name}")
    @app.put("/large/{name}")
    async def size(request: Request, name: str) -> int:
        return len(await request.body())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a private text")

    add_error_handlers(app)
    limits = (BodyLimit("/small/", 10, ("POST",)), BodyLimit("/large/", 1000, ("PUT",)))
    enclose(app, hosts=("north.hospital.org", "::1"), limits=limits, content_policy=DATA_ONLY)
    return TestClient(app, base_url="https://north.hospital.org:8081", raise_server_exceptions=False)


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 5


def test_a_body_within_its_paths_limit_passes(client: TestClient) -> None:
    assert client.post("/small/a", content=b"x" * 10).json() == 10
    assert client.put("/large/a", content=b"x" * 1000).json() == 1000


def test_a_body_over_its_paths_limit_is_refused(client: TestClient) -> None:
    answer = client.post("/small/a", content=b"x" * 11)
    assert (answer.status_code, answer.json()["code"]) == (413, "WW604")
    assert client.put("/large/a", content=b"x" * 1001).status_code == 413


def test_a_body_in_chunks_of_no_announced_length_is_counted(client: TestClient) -> None:
    assert client.post("/small/a", content=chunks(2)).json() == 10
    answer = client.post("/small/a", content=chunks(3))
    assert (answer.status_code, answer.json()["code"]) == (413, "WW604")


def test_a_path_without_a_limit_of_its_own_takes_little(client: TestClient) -> None:
    assert client.post("/elsewhere", content=b"x" * OTHERWISE).status_code == 404
    assert client.post("/elsewhere", content=b"x" * (OTHERWISE + 1)).status_code == 413


@pytest.mark.parametrize("path", ["/small/a", "/elsewhere", "/broken"])
def test_every_answer_carries_the_headers_and_none_invites_other_origins(client: TestClient, path: str) -> None:
    for answer in (client.get(path, headers={"origin": "https://example.org"}), client.post(path, content=b"x" * 99)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert not [name for name in answer.headers if name.startswith("access-control")]
