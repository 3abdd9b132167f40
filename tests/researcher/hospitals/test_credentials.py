"""A researcher's credentials and TLS: what is noticed before anything is sent, and what stays off the disk."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from support.closed_folders import run_shut_out
from support.hostile_texts import raw_in
from support.researchers_ports import ANNA, OpenPort, enrolment, served
from support.waiting import CEILING_SECONDS

from datasites.access import certificates
from policies.errors import CertificateRefused, ConfigError, DatasiteNotTrusted, DatasiteUnreachable, FederationError
from researcher.hospitals.credentials import Credentials, read_credentials
from researcher.hospitals.secure_channel import SecureChannel, client_context

MEGABYTE = 1 << 20


@pytest.fixture
def north(tmp_path: Path) -> Iterator[OpenPort]:
    with served(enrolment(tmp_path)) as opened:
        yield opened


def test_a_clock_that_is_some_minutes_late_is_no_obstacle(north: OpenPort) -> None:
    credentials, now = north.credentials(), datetime.now(UTC)
    credentials.check_time(now=now - timedelta(minutes=5))
    with pytest.raises(CertificateRefused, match="clock"):
        credentials.check_time(now=now - timedelta(minutes=15))


def test_an_expired_certificate_is_noticed_before_anything_is_sent(north: OpenPort) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=100)
    made = certificates.issue_researcher(north.enrolment._authority, ANNA, days=90, now=long_ago)
    with pytest.raises(CertificateRefused, match="expired"):
        SecureChannel(north.credentials(made=made))
    assert north.app.requests == 0


def test_a_hospital_whose_own_certificate_expired_is_away_until_it_starts_again(tmp_path: Path) -> None:
    moment = [datetime.now(UTC) - timedelta(days=730)]
    own = enrolment(tmp_path, clock=lambda: moment[0], days=825)
    mine = own.issue(ANNA)
    with served(own) as late:
        channel = SecureChannel(late.credentials(made=mine))
        with pytest.raises(DatasiteUnreachable, match=r"'north'.* certificate that has expired.*start again"):
            channel.request("GET", "/")
        channel.close()
        assert late.app.requests == 0, "nothing was sent"
    moment[0] = datetime.now(UTC)
    own.prepare_server(("127.0.0.1",))
    with served(own) as back:
        channel = SecureChannel(back.credentials(made=mine))
        assert channel.request("GET", "/").json() == {"peer": ANNA}
        channel.close()


def test_a_hospital_whose_clock_is_ahead_is_away_as_well(tmp_path: Path) -> None:
    next_week = datetime.now(UTC) + timedelta(days=7)
    with served(enrolment(tmp_path, clock=lambda: next_week)) as early:
        mine = certificates.issue_researcher(early.enrolment._authority, ANNA, days=7)
        channel = SecureChannel(early.credentials(made=mine))
        with pytest.raises(DatasiteUnreachable, match=r"'north'.* not valid yet.*clock"):
            channel.request("GET", "/")
        channel.close()
        assert early.app.requests == 0


def test_an_authority_that_is_not_the_hospitals_is_not_trusted_however_old(north: OpenPort, tmp_path: Path) -> None:
    two_years_ago = datetime.now(UTC) - timedelta(days=730)
    with served(enrolment(tmp_path / "late", clock=lambda: two_years_ago, days=825)) as late:
        channel = SecureChannel(late.credentials(authority=north.enrolment.authority_pem))
        with pytest.raises(DatasiteNotTrusted, match="is not the datasite"):
            channel.request("GET", "/")
        channel.close()
        assert late.app.requests == 0


def test_credentials_from_before_an_authority_was_renewed_connect_and_so_do_those_from_after(tmp_path: Path) -> None:
    moment = [datetime.now(UTC) - timedelta(days=2500)]
    own = enrolment(tmp_path, clock=lambda: moment[0], days=825)
    authority = own.authority_pem
    moment[0] = datetime.now(UTC) - timedelta(days=30)
    before = own.issue(ANNA)
    moment[0] = datetime.now(UTC)
    own.prepare_server(("127.0.0.1",))
    assert own.authority_pem != authority
    with served(own) as north:
        for credentials in (north.credentials(made=before, authority=authority), north.credentials()):
            channel = SecureChannel(credentials)
            assert channel.request("GET", "/").json() == {"peer": ANNA}
            channel.close()


def test_credentials_that_an_editor_saved_again_are_read(north: OpenPort, tmp_path: Path) -> None:
    file, credentials = tmp_path / "anna.json", north.credentials()
    file.write_text(json.dumps(asdict(credentials)), encoding="utf-8-sig")
    assert Credentials.from_file(file) == credentials
    file.write_text(json.dumps(asdict(credentials)), encoding="utf-16")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Credentials.from_file(file)


def test_what_keeps_a_connection_from_being_made_is_told_apart(
    north: OpenPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens
        address = f"https://127.0.0.1:{bound.getsockname()[1]}"
        closed = _unreachable(replace(north.credentials(), url=address))
    unknown = _unreachable(replace(north.credentials(), url="https://datasite.klinik.invalid:9403"), dialled=_nowhere)
    assert "nothing listens at that port" in closed and "its name is not known here" in unknown
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.klinik.invalid:3128")
    again = _unreachable(replace(north.credentials(), url="https://datasite.klinik.invalid:9403"), dialled=_nowhere)
    assert again == unknown + " HTTPS_PROXY is set here: connections to a datasite do not go through a proxy."


def test_no_answer_in_time_is_a_firewalls(north: OpenPort) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert "A firewall" in _unreachable(replace(north.credentials(), url=address), timeout_seconds=0.05)


@pytest.mark.parametrize(
    ("first_bytes", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS as a datasite does"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak TLS as a datasite does"),
        (b"", "ended before anything was said"),
    ],
)
def test_something_else_at_the_port_is_told_from_a_closed_one(north: OpenPort, first_bytes: bytes, said: str) -> None:
    def answer() -> None:
        line, _ = other.accept()
        with line:
            line.recv(1)
            line.sendall(first_bytes)

    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=answer, daemon=True).start()
        address = f"https://127.0.0.1:{other.getsockname()[1]}"
        assert said in _unreachable(replace(north.credentials(), url=address))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no way leads from this machine"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way leads from this machine"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "A firewall"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "ended before anything was said"),
        (OSError(errno.EIO, "Input/output error"), "the network gives an error"),
    ],
)
def test_what_the_network_says_is_passed_on_as_what_to_do(north: OpenPort, error: OSError, said: str) -> None:
    def dialled(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(str(error), request=request) from error

    assert said in _unreachable(north.credentials(), dialled=dialled)


def _nowhere(request: httpx.Request) -> httpx.Response:
    """As a name that nobody knows fails, without asking a network."""
    try:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    except OSError as error:
        raise httpx.ConnectError(str(error), request=request) from error


def _unreachable(
    credentials: Credentials,
    *,
    timeout_seconds: float = CEILING_SECONDS,
    dialled: Callable[[httpx.Request], httpx.Response] | None = None,
) -> str:
    channel = SecureChannel(credentials, timeout_seconds=timeout_seconds)
    if dialled is not None:
        channel.close()
        channel.http = httpx.Client(base_url=credentials.url, transport=httpx.MockTransport(dialled))
    try:
        with pytest.raises(DatasiteUnreachable) as caught:
            channel.request("GET", "/")
    finally:
        channel.close()
    return caught.value.public


def test_an_answer_without_an_end_or_packed_is_refused_and_not_kept_in_memory(north: OpenPort) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(MEGABYTE)
            yield bytes(MEGABYTE)

    answers = [
        lambda request: httpx.Response(200, content=endless()),
        lambda request: httpx.Response(404, content=endless()),
        lambda request: httpx.Response(200, headers={"content-encoding": "gzip"}, content=endless()),
    ]
    for answer in answers:
        channel = SecureChannel(north.credentials())
        channel.close()
        channel.http = httpx.Client(base_url=channel.url, transport=httpx.MockTransport(answer))
        with contextlib.closing(channel), pytest.raises(FederationError, match="Ask the hospital"):
            channel.request("GET", "/", most=3 * MEGABYTE)
    assert len(sent) == 8


def test_calls_share_one_kept_connection(north: OpenPort) -> None:
    channel = SecureChannel(north.credentials())
    ports = set()
    for _ in range(3):
        answer = channel.request("GET", "/")
        ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    channel.close()
    assert north.app.requests == 3 and len(ports) == 1


def test_no_key_is_left_in_a_file(north: OpenPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    credentials = north.credentials()
    client_context(credentials)
    assert not list((tmp_path / "temporary").iterdir())
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        assert credentials.key.splitlines()[1] not in file.read_text()


@pytest.mark.parametrize("broken", [{"key": "x"}, {"certificate": "x"}, {"authority": "x"}, {"authority": ""}])
def test_credentials_that_cannot_be_used_are_refused(north: OpenPort, broken: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="hospital"):
        SecureChannel(replace(north.credentials(), **broken))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://",
            "https://[::1",
            "https://a b",
            "https://h:99999999",
            "https://h:99999",
            "https://h:0",
            "https://h:x",
        ),
        *(
            "https://u:p@h",
            "https://h/path",
            "https://h?q",
            "https://h#f",
            "https://\x1b[31m:1",
            "https://h\n",
            "https://中文",
            "https://a..b:8081",
            "https://.a",
            "https://..",
            f"https://{'a' * 64}.org",
            f"https://{'.'.join(['a' * 63] * 4)}:8081",
            "https://[:::]:1",
            "https://[1.2.3.4]",
        ),
    ],
)
def test_credentials_for_what_is_no_address_are_refused_and_shown(north: OpenPort, url: str) -> None:
    with pytest.raises(ConfigError, match="no address") as refused:
        replace(north.credentials(), url=url)
    assert not raw_in(refused.value.public)


@pytest.mark.parametrize(
    "url",
    [
        *("https://h.org", "https://h.org:8081/", "https://192.0.2.7:1", "https://[2001:DB8::7]:65535"),
        *("https://h.org.", f"https://{'a' * 63}.org:8081", f"https://{'.'.join(['a' * 62] * 4)}:8081"),
    ],
)
def test_every_address_that_a_datasite_may_have_is_one(north: OpenPort, url: str) -> None:
    made = replace(north.credentials(), url=url)
    assert made.url == url
    SecureChannel(made).close()


def test_neither_password_nor_key_shows_when_credentials_are_printed(north: OpenPort) -> None:
    credentials = replace(north.credentials(), password="a secret")
    assert "a secret" not in repr(credentials) and "BEGIN" not in repr(credentials)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"datasite": "a"}', "7", "[" * 100_000, "9" * 5000, "\\ud800"])
def test_a_file_that_holds_no_credentials_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ConfigError, match="not a credentials file"):
        Credentials.from_file(tmp_path / "file.json")


def test_a_pattern_that_no_file_fits_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no credentials file .*\*\.json\. .* launch_datasites"):
        list(read_credentials(tmp_path / "*.json"))


def test_a_folder_in_place_of_a_credentials_file_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder, and credentials are files\. .*/\*\.json'\."):
        Credentials.from_file(tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "No credentials file state/*/credentials/*.json was found, and state/north is closed to this account."),
        (["--credentials", "state/north/a.json"], "and state/north is closed to this account."),
        (["--credentials", "a.json"], "The credentials file a.json cannot be read (Permission denied)."),
    ],
)
def test_what_another_account_may_not_read_is_not_said_to_be_missing_or_no_credentials(
    given: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "state" / "north").mkdir(parents=True)
    (tmp_path / "a.json").write_text("{}")
    for closed in (tmp_path / "state" / "north", tmp_path / "a.json"):
        closed.chmod(0)
    done = run_shut_out("researcher", ["catalog", *given], tmp_path)
    (tmp_path / "state" / "north").chmod(0o700)
    assert done.returncode == 1 and told in done.stderr, done.stderr


def test_too_many_open_files_are_not_said_to_be_a_wrong_certificate(north: OpenPort) -> None:
    credentials, taken = north.credentials(), []
    client_context(credentials)  # what is imported on the way is
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limits[0]), limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(ConfigError, match="TLS to 'north' cannot be prepared here: Too many open files"):
            client_context(credentials)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
