"""Who may ask a served model, and how much of a request is taken."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support.served_models import ServedModel, as_file, one_colour, served
from support.waiting import CEILING_SECONDS, wait_for

from policies.errors import ConfigError
from researcher.exported.session import ModelSession
from researcher.serving.port.guard import read_token
from researcher.serving.settings import ServingSettings

PICTURE = as_file(one_colour(255, 0, 0))
TOKEN = b"0123456789abcdef"


class Held:
    """A model that computes once it is let."""

    def __init__(self, model: Path) -> None:
        session = ModelSession.open(model)
        self.about, self._probabilities = session.about, session.probabilities
        self.asked, self.let = threading.Event(), threading.Event()

    def probabilities(self, pictures: Any) -> Any:
        self.asked.set()
        assert self.let.wait(CEILING_SECONDS)
        return self._probabilities(pictures)


def _many(count: int) -> list[tuple[str, tuple[str, bytes]]]:
    return [("pictures", (f"{place}.png", PICTURE)) for place in range(count)]


def test_more_pictures_or_bytes_than_are_taken_are_refused(model: Path) -> None:
    with served(model, max_pictures=2, max_request_bytes=2000) as server:
        address = f"{server.url}/v1/classify"
        assert httpx.post(address, files=_many(2), timeout=CEILING_SECONDS).status_code == 200
        assert httpx.post(address, files=_many(3), timeout=CEILING_SECONDS).status_code == 413
        announced = httpx.post(address, content=bytes(2001), timeout=CEILING_SECONDS)
        in_chunks = httpx.post(address, content=iter([bytes(1001)] * 2), timeout=CEILING_SECONDS)
    for refused in (announced, in_chunks):
        assert (refused.status_code, refused.json()["code"]) == (413, "WW604")
        assert "at most 2000 bytes" in refused.json()["error"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "image/png"),
        (b"no boundary in it", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\npart", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"anything", "multipart/form-data"),
        (b"anything", "multipart/form-data; boundary=\xc3\xa9"),
        (b"--x\r\n" + b"a" * 10_000 + b": b\r\n\r\npart\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
    ids=["empty", "no part", "cut", "empty part", "no boundary", "odd boundary", "long head"],
)
def test_a_request_without_a_whole_picture_is_malformed(server: ServedModel, content: bytes, kind: str) -> None:
    answer = httpx.post(
        f"{server.url}/v1/classify",
        content=content,
        headers={"content-type": kind.encode("latin-1")},
        timeout=CEILING_SECONDS,
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "WW611")
    assert "curl" in answer.json()["error"]


def test_arguments_routes_and_methods_that_are_none_are_refused_in_the_one_shape(server: ServedModel) -> None:
    answers = [
        httpx.post(f"{server.url}/v1/classify", content=PICTURE, params={"frame": "first"}, timeout=CEILING_SECONDS),
        httpx.post(f"{server.url}/v1/saliency", content=PICTURE, params={"class": "violet"}, timeout=CEILING_SECONDS),
        httpx.get(f"{server.url}/nowhere", timeout=CEILING_SECONDS),
        httpx.get(f"{server.url}/v1/classify", timeout=CEILING_SECONDS),
    ]
    assert [one.status_code for one in answers] == [400, 400, 404, 405]
    assert all(set(one.json()) == {"code", "error"} for one in answers)
    assert "red, green, blue" in answers[1].json()["error"]


def test_a_token_is_asked_for_where_anything_of_the_model_is_told(model: Path) -> None:
    with served(model, token=TOKEN) as server:
        for path in ("/v1/model", "/metrics"):
            for given in ("", "Bearer 0123456789abcdeg", f"Basic {TOKEN.decode()}", "Bearer"):
                answer = httpx.get(
                    server.url + path, headers={"authorization": given} if given else {}, timeout=CEILING_SECONDS
                )
                assert (answer.status_code, answer.json()["code"]) == (401, "WW903")
                assert answer.headers["www-authenticate"] == "Bearer"
        assert httpx.post(f"{server.url}/v1/classify", content=PICTURE, timeout=CEILING_SECONDS).status_code == 401
        with_it = {"authorization": f"Bearer {TOKEN.decode()}"}
        assert (
            httpx.post(
                f"{server.url}/v1/classify", content=PICTURE, headers=with_it, timeout=CEILING_SECONDS
            ).status_code
            == 200
        )
        assert httpx.get(f"{server.url}/health/ready", timeout=CEILING_SECONDS).status_code == 200


def test_a_token_file_is_read_only_where_it_is_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(TOKEN + b"\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod o="):
        read_token(str(file))
    file.chmod(0o600)
    assert read_token(str(file)) == TOKEN
    for short in (b"", b"short", b"two words in it, long"):
        file.write_bytes(short)
        with pytest.raises(ConfigError, match="openssl rand"):
            read_token(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(str(tmp_path / "none"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "clinic.example"])
def test_another_address_than_loopback_takes_a_token_or_a_certificate(host: str) -> None:
    with pytest.raises(ConfigError, match="--token_file"):
        ServingSettings(host=host)
    ServingSettings(host=host, token_file="token")
    ServingSettings(host=host, certificate="cert.pem", key="key.pem")
    with pytest.raises(ConfigError, match="belong together"):
        ServingSettings(host=host, certificate="cert.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_takes_neither(host: str) -> None:
    assert ServingSettings(host=host).is_loopback


def test_a_page_from_elsewhere_cannot_ask_under_its_own_name(server: ServedModel) -> None:
    answer = httpx.get(f"{server.url}/v1/model", headers={"host": "elsewhere.example"}, timeout=CEILING_SECONDS)
    assert (answer.status_code, answer.json()["code"]) == (421, "WW612")


def test_what_does_not_fit_is_told_when_to_come_again_and_nothing_of_it_is_kept(model: Path) -> None:
    held = Held(model)
    with served(model, session=held, max_waiting=2, max_pictures=2) as server:
        address, found = f"{server.url}/v1/classify", []
        first = threading.Thread(
            target=lambda: found.append(httpx.post(address, files=_many(2), timeout=CEILING_SECONDS))
        )
        first.start()
        assert held.asked.wait(CEILING_SECONDS)
        busy = httpx.post(address, content=PICTURE, timeout=CEILING_SECONDS)
        held.let.set()
        first.join()
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "WW902", "1")
        assert found[0].status_code == 200
        assert wait_for(lambda: server.classifier.room.taken == 0)
        assert httpx.post(address, content=PICTURE, timeout=CEILING_SECONDS).status_code == 200


@pytest.fixture(scope="module")
def hurried(model: Path) -> Iterator[tuple[ServedModel, Held]]:
    """A server with one second for each request, and its model that computes once it is let."""
    held = Held(model)
    with served(model, session=held, timeout_seconds=1) as server:
        yield server, held
        held.let.set()


def test_an_answer_that_takes_too_long_is_told_and_the_server_goes_on(hurried: tuple[ServedModel, Held]) -> None:
    server, held = hurried
    late = httpx.post(f"{server.url}/v1/classify", content=PICTURE, timeout=CEILING_SECONDS)
    assert (late.status_code, late.json()["code"]) == (504, "WW904")
    held.let.set()
    again = partial(httpx.post, f"{server.url}/v1/classify", content=PICTURE, timeout=CEILING_SECONDS)
    wait_for(lambda: again().status_code == 200)  # on a busy machine its second may be over once more


def test_a_body_that_does_not_arrive_ends_its_request(hurried: tuple[ServedModel, Held]) -> None:
    server, _ = hurried
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), CEILING_SECONDS) as sock:
        sock.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nbegin")
        answer = b""
        while part := sock.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"WW613" in answer


def test_a_head_without_an_end_is_cut_off(server: ServedModel) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), CEILING_SECONDS) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        try:
            for _ in range(1000):
                sock.sendall(b"A: " + b"b" * 1000 + b"\r\n")
            ended = sock.recv(1) == b""
        except ConnectionError:
            ended = True
    assert ended


def test_every_answer_carries_the_security_headers_and_is_not_kept(server: ServedModel) -> None:
    for answer in (
        httpx.get(server.url, timeout=CEILING_SECONDS),
        httpx.get(f"{server.url}/nowhere", timeout=CEILING_SECONDS),
        httpx.get(f"{server.url}/health", timeout=CEILING_SECONDS),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_unforeseen_failure_is_told_and_logged_without_its_text(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held(model)
    held.probabilities = lambda pictures: [][len("PLANTED-NAME")]  # type: ignore[method-assign]
    with served(model, session=held) as server:
        answer = httpx.post(f"{server.url}/v1/classify", content=PICTURE, timeout=CEILING_SECONDS)
    assert (answer.status_code, answer.json()["code"]) == (500, "WW901")
    assert "IndexError at test_port.py" in caplog.text
    assert "out of range" not in caplog.text + answer.text


def test_counts_for_prometheus_hold_no_name_and_no_class(server: ServedModel) -> None:
    files = [("pictures", ("PLANTED-NAME.png", np.random.default_rng(0).bytes(100)))]
    httpx.post(f"{server.url}/v1/classify", files=files, timeout=CEILING_SECONDS)
    httpx.post(f"{server.url}/v1/classify", content=PICTURE, timeout=CEILING_SECONDS)
    httpx.get(f"{server.url}/PLANTED-PATH", timeout=CEILING_SECONDS)
    found = httpx.get(f"{server.url}/metrics", timeout=CEILING_SECONDS)
    assert found.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in found.text.splitlines() if not line.startswith("#"))
    assert float(lines['wanwu_refused_total{reason="no_picture"}']) >= 1
    assert float(lines['wanwu_pictures_total{kind="png"}']) >= 1
    assert float(lines['wanwu_requests_total{route="other",status="404"}']) >= 1
    assert not [word for word in ("PLANTED", "red", "green", "blue") if f'"{word}' in found.text]
    assert "PLANTED" not in found.text


def test_the_description_of_the_routes_has_examples_and_the_errors(server: ServedModel) -> None:
    described = httpx.get(f"{server.url}/openapi.json", timeout=CEILING_SECONDS).json()
    asked = described["paths"]["/v1/classify"]["post"]
    assert set(asked["responses"]) >= {"200", "400", "401", "413", "422", "503", "504"}
    assert {"image/png", "application/dicom", "multipart/form-data"} <= set(asked["requestBody"]["content"])
    assert described["components"]["schemas"]["ClassProbability"]["properties"]["name"]["examples"]
