"""Each answer of the researchers' port tells the release; a request of a release that is not served goes no further."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import policies
from datasites.researchers_port.told_release import tell_release
from datasites.web.request_bounds import DATA_ONLY, BodyLimit, enclose
from policies.errors import VersionMismatch, WanwuError
from policies.versions.protocol import PROTOCOL, RELEASE, of_datasite, of_researcher


@pytest.fixture
def reached() -> list[str]:
    """What got as far as the app."""
    return []


@pytest.fixture
def refused() -> list[WanwuError]:
    return []


@pytest.fixture
def client(reached: list[str], refused: list[WanwuError]) -> TestClient:
    app = FastAPI()

    @app.post("/charge")
    def charge() -> None:
        reached.append("charge")

    @app.post("/fail")
    def fail() -> None:
        raise RuntimeError

    tell_release(app, refused.append)
    enclose(app, hosts={"testserver"}, limits=(BodyLimit("/big", 1 << 20),), content_policy=DATA_ONLY)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(("path", "status"), [("/charge", 200), ("/nothing", 404), ("/fail", 500)])
def test_every_answer_tells_release_and_protocol(client: TestClient, path: str, status: int) -> None:
    answer = client.post(path, headers=of_researcher())
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in (RELEASE, PROTOCOL)} == of_datasite()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(RELEASE, "0.1.0"), (PROTOCOL, "1")],
        [(RELEASE, "nonsense"), (PROTOCOL, "1")],
        [(RELEASE, policies.__version__)],
        [(RELEASE, "9.0.0"), (PROTOCOL, "77")],
        [(RELEASE, policies.__version__), (RELEASE, policies.__version__), (PROTOCOL, "1")],
    ],
    ids=["none", "0.1", "nonsense", "no protocol", "another protocol", "twice"],
)
def test_a_side_that_is_not_worked_with_reaches_nothing_and_is_told_what_to_update(
    client: TestClient, reached: list[str], refused: list[WanwuError], headers: list[tuple[str, str]]
) -> None:
    answer = client.post("/charge", headers=headers, content=b"x" * 1000)
    assert (answer.status_code, answer.json()["code"]) == (VersionMismatch.status, VersionMismatch.code)
    assert f"This datasite runs Wanwu {policies.__version__}" in answer.json()["error"]
    assert "Nothing was asked for or charged." in answer.json()["error"]
    assert (reached, [type(error) for error in refused]) == ([], [VersionMismatch])
    assert answer.headers[RELEASE] == policies.__version__
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_newer_side_that_speaks_the_protocol_is_served(client: TestClient, reached: list[str]) -> None:
    assert client.post("/charge", headers={RELEASE: "7.1.0", PROTOCOL: "1"}).status_code == 200
    assert reached == ["charge"]
