"""Weights and updates over a real socket: whole, in parts, and through a line that breaks."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from support.bad_line import BadLine
from support.blob_app import blob_app
from support.waiting import CEILING_SECONDS, wait_for

from datasites.runs.blobs import BlobLimits, BlobStore
from policies.contracts.signatures import sign
from policies.errors import (
    BlobError,
    BlobUnknown,
    DatasiteUnreachable,
    FederationError,
    QuotaExceeded,
    StorageUnavailable,
)
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.secure_channel import SecureChannel

GONE = DatasiteUnreachable("gone")
SEED, OTHER = b"1" * 32, b"2" * 32
MEGABYTE = 1 << 20


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    (tmp_path / "blobs").mkdir()
    limits = BlobLimits(max_bytes=8 * MEGABYTE, account_bytes=16 * MEGABYTE)
    return BlobStore(tmp_path / "blobs", limits=limits)


@pytest.fixture
def datasite(blobs: BlobStore) -> Iterator[int]:
    """The datasite's own routes on a real port, with the blob store behind them."""
    app = blob_app(blobs)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield sock.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=CEILING_SECONDS)


@contextlib.contextmanager
def over(url: str, seed: bytes = SEED) -> Iterator[DatasiteClient]:
    """The researcher's routes over the platform's own channel, but without TLS."""
    channel = SecureChannel.__new__(SecureChannel)
    channel.datasite, channel.url = "datasite", url
    channel.http = httpx.Client(base_url=url, trust_env=False, timeout=CEILING_SECONDS)
    with contextlib.closing(channel):
        yield DatasiteClient(channel, seed)


@pytest.fixture
def researcher(datasite: int) -> Iterator[DatasiteClient]:
    with over(f"http://127.0.0.1:{datasite}") as connected:
        yield connected


class BreakingLine:
    """A proxy that ends each connection after so many bytes of the datasite's answer."""

    def __init__(self, port: int, *, breaks_after: list[int]) -> None:
        self._port, self._breaks_after = port, breaks_after
        self.connections = 0
        self.requests: list[bytes] = []
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(16)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> BreakingLine:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(timeout=CEILING_SECONDS)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                left = self._breaks_after[min(self.connections, len(self._breaks_after) - 1)]
                self.connections += 1
                with client, socket.create_connection(("127.0.0.1", self._port)) as server:
                    request = client.recv(65536)
                    self.requests.append(request)
                    server.sendall(request)
                    while left and (content := server.recv(min(left, 65536))):
                        client.sendall(content)
                        left -= len(content)


def test_what_was_put_comes_back_whole_and_only_to_its_own_account(
    researcher: DatasiteClient, datasite: int, tmp_path: Path
) -> None:
    content = os.urandom(3 * MEGABYTE + 17)
    digest = researcher.put_blob(content)
    assert researcher.get_blob(digest, tmp_path / "blob", max_bytes=len(content)) == len(content)
    assert (tmp_path / "blob").read_bytes() == content
    with over(f"http://127.0.0.1:{datasite}", OTHER) as stranger, pytest.raises(BlobUnknown):
        stranger.get_blob(digest, tmp_path / "other", max_bytes=len(content))
    assert not (tmp_path / "other").exists()


def test_a_download_that_breaks_off_goes_on_where_it_was(
    researcher: DatasiteClient, datasite: int, tmp_path: Path
) -> None:
    content = os.urandom(3 * MEGABYTE)
    digest = researcher.put_blob(content)
    with BreakingLine(datasite, breaks_after=[MEGABYTE, MEGABYTE, 1 << 30]) as line, over(line.url) as through:
        through.get_blob(digest, tmp_path / "blob", max_bytes=len(content))
    assert (tmp_path / "blob").read_bytes() == content
    assert line.connections == 3
    starts = [int(request.split(b"range: bytes=")[1].split(b"-")[0]) for request in line.requests[1:]]
    assert 0 < starts[0] < MEGABYTE < starts[1] < 2 * MEGABYTE


def parts(folder: Path) -> list[Path]:
    return list((folder / "blobs").rglob(".part-*"))


def test_an_upload_whose_line_drops_at_sixty_percent_goes_on_where_it_was(
    datasite: int, tmp_path: Path, blobs: BlobStore
) -> None:
    content = os.urandom(5 * MEGABYTE)
    with BadLine(datasite, cuts=[3 * MEGABYTE]) as line, over(f"http://127.0.0.1:{line.own_port}") as through:
        digest = wait_for(lambda: _put(through, content))
    (file,) = (tmp_path / "blobs").glob(f"*/{digest}")
    assert file.read_bytes() == content and not parts(tmp_path)
    assert line.broken == 1 and line.bytes_up < 7 * MEGABYTE, "whole again it would be eight"
    assert through.bytes_moved == len(content)


def test_what_came_of_an_upload_is_counted_once_although_the_datasite_told_of_it_at_a_later_call_only(
    datasite: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(5 * MEGABYTE)
    with BadLine(datasite, cuts=[3 * MEGABYTE]) as line, over(f"http://127.0.0.1:{line.own_port}") as through:
        with monkeypatch.context() as too_early, pytest.raises(DatasiteUnreachable):
            too_early.setattr(DatasiteClient, "_received", lambda self, digest, size: 0)
            through.put_blob(content)
        wait_for(lambda: _put(through, content))
        assert line.bytes_up < 7 * MEGABYTE
        assert through.bytes_moved == len(content)


def _put(through: DatasiteClient, content: bytes) -> str | None:
    """Puts a blob; None if the line broke before the datasite had told what came."""
    try:
        return through.put_blob(content)
    except DatasiteUnreachable:
        return None


@pytest.mark.parametrize("seed", range(3))
def test_a_flaky_line_carries_a_blob_up_and_down(datasite: int, tmp_path: Path, seed: int) -> None:
    content = os.urandom(2 * MEGABYTE)
    with (
        BadLine(datasite, resets=0.5, latency_seconds=0.0002, seed=seed) as line,
        over(f"http://127.0.0.1:{line.own_port}") as through,
    ):
        digest = wait_for(lambda: _put(through, content))
        wait_for(lambda: _get(through, digest, tmp_path / "blob"))
    assert (tmp_path / "blob").read_bytes() == content


def _get(through: DatasiteClient, digest: str, file: Path) -> int | None:
    try:
        return through.get_blob(digest, file, max_bytes=8 * MEGABYTE)
    except DatasiteUnreachable:
        return None


def test_what_came_of_an_upload_counts_as_the_accounts_and_is_nobody_elses(
    datasite: int, tmp_path: Path, blobs: BlobStore
) -> None:
    content = os.urandom(6 * MEGABYTE)
    with BadLine(datasite, cuts=[4 * MEGABYTE, 1]) as line, over(f"http://127.0.0.1:{line.own_port}") as through:
        assert _put(through, content) is None
    wait_for(lambda: parts(tmp_path))
    (part,) = parts(tmp_path)
    digest, came = hashlib.sha256(content).hexdigest(), part.stat().st_size
    assert 0 < came < 4 * MEGABYTE and content.startswith(part.read_bytes())
    url = f"http://127.0.0.1:{datasite}"
    with over(url) as own, over(url, OTHER) as stranger:
        assert (own._received(digest, len(content)), stranger._received(digest, len(content))) == (came, 0)
        with pytest.raises(BlobUnknown):
            own.get_blob(digest, tmp_path / "blob", max_bytes=8 * MEGABYTE)
        own.put_blob(os.urandom(8 * MEGABYTE))
        with pytest.raises(QuotaExceeded, match=f"{8 * MEGABYTE - came} of this account's"):
            own.put_blob(os.urandom(8 * MEGABYTE))
    assert blobs.expire([], now=time.time() + 8 * 24 * 3600) == 2 and not parts(tmp_path)


def test_a_beginning_that_is_not_the_uploads_own_is_sent_again(
    researcher: DatasiteClient, datasite: int, tmp_path: Path
) -> None:
    content = os.urandom(MEGABYTE)
    with BadLine(datasite, cuts=[MEGABYTE // 2, 1]) as line, over(f"http://127.0.0.1:{line.own_port}") as through:
        assert _put(through, content) is None
    wait_for(lambda: parts(tmp_path))
    (part,) = parts(tmp_path)
    part.write_bytes(bytes(part.stat().st_size))
    researcher._broken_uploads[hashlib.sha256(content).hexdigest()] = 0
    digest = researcher.put_blob(content)
    (file,) = (tmp_path / "blobs").glob(f"*/{digest}")
    assert file.read_bytes() == content and not parts(tmp_path)


@pytest.mark.parametrize("told", [[10**12], [1, 2, 10**12], [1, 1], [3, 2]])
@pytest.mark.parametrize("refuses", [False, True])
def test_no_datasite_keeps_an_upload_going_that_does_not_get_on(
    researcher: DatasiteClient, monkeypatch: pytest.MonkeyPatch, told: list[int], refuses: bool
) -> None:
    said = itertools.chain(told, itertools.repeat(told[-1], 50))
    ends = itertools.cycle((GONE, BlobError("not its beginning")) if refuses else [GONE])

    def answer(method: str, path: str, **_: Any) -> Any:
        raise next(ends)

    monkeypatch.setattr(researcher, "_send", answer)
    monkeypatch.setattr(researcher, "_json", lambda method, path: {"digest": path.split("/")[2], "bytes": next(said)})
    with pytest.raises((DatasiteUnreachable, BlobError)):
        researcher.put_blob(b"x" * 100)
    assert researcher.bytes_moved <= 100


def test_a_line_that_stays_broken_leaves_what_came_for_the_next_try(
    researcher: DatasiteClient, datasite: int, tmp_path: Path
) -> None:
    content = os.urandom(2 * MEGABYTE)
    digest = researcher.put_blob(content)
    file = tmp_path / "blob"
    with (
        BreakingLine(datasite, breaks_after=[MEGABYTE, 0]) as line,
        over(line.url) as through,
        pytest.raises(DatasiteUnreachable),
    ):
        through.get_blob(digest, file, max_bytes=len(content))
    came = file.stat().st_size
    assert 0 < came < MEGABYTE
    assert file.read_bytes() == content[:came]
    researcher.get_blob(digest, file, max_bytes=len(content))
    assert file.read_bytes() == content


@pytest.mark.parametrize("part", [MEGABYTE // 2, 1000])
def test_ranges_that_come_in_parts_are_asked_for_on_and_small_ones_are_left_to_the_next_try(
    researcher: DatasiteClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: int
) -> None:
    content = os.urandom(2 * MEGABYTE)
    digest, file = hashlib.sha256(content).hexdigest(), tmp_path / "blob"
    file.write_bytes(content[:100])
    asked = []

    @contextlib.contextmanager
    def stream(method: str, path: str, *, headers: dict[str, str]) -> Iterator[httpx.Response]:
        begin = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
        asked.append(begin)
        end = min(begin + part, len(content))
        told = {"content-range": f"bytes {begin}-{end - 1}/{len(content)}"}
        yield httpx.Response(206, headers=told, content=content[begin:end])

    monkeypatch.setattr(researcher._channel, "stream", stream)
    if part < 1 << 16:
        with pytest.raises(DatasiteUnreachable, match="parts that are too small"):
            researcher.get_blob(digest, file, max_bytes=len(content))
        assert asked == [100] and file.read_bytes() == content[: 100 + part]
    else:
        assert researcher.get_blob(digest, file, max_bytes=len(content)) == len(content)
        assert file.read_bytes() == content and len(asked) == 4


def test_a_download_whose_beginning_is_wrong_is_refused_and_removed(researcher: DatasiteClient, tmp_path: Path) -> None:
    digest = researcher.put_blob(b"right " * 1000)
    file = tmp_path / "blob"
    file.write_bytes(b"wrong ")
    with pytest.raises(FederationError, match="does not have its digest"):
        researcher.get_blob(digest, file, max_bytes=10_000)
    assert not file.exists()
    assert researcher.get_blob(digest, file, max_bytes=10_000) == 6000


def test_a_whole_file_is_not_fetched_again(researcher: DatasiteClient, tmp_path: Path) -> None:
    digest = researcher.put_blob(b"update")
    for _ in range(2):
        assert researcher.get_blob(digest, tmp_path / "blob", max_bytes=100) == 6


def test_more_bytes_than_a_researcher_expects_are_refused(researcher: DatasiteClient, tmp_path: Path) -> None:
    digest = researcher.put_blob(bytes(1000))
    with pytest.raises(FederationError, match="more than 999 bytes"):
        researcher.get_blob(digest, tmp_path / "blob", max_bytes=999)
    assert not (tmp_path / "blob").exists()


def test_a_blob_changed_on_the_hospitals_disk_is_found_out(
    researcher: DatasiteClient, blobs: BlobStore, tmp_path: Path
) -> None:
    digest = researcher.put_blob(b"update")
    account = sign(SEED, "GET", "/")["x-wanwu-key"]
    blobs.path(account, digest).write_bytes(b"UPDATE")
    with pytest.raises(FederationError, match="does not have its digest"):
        researcher.get_blob(digest, tmp_path / "blob", max_bytes=100)


def test_what_is_too_large_or_over_the_quota_has_a_named_error_and_leaves_nothing(
    researcher: DatasiteClient, tmp_path: Path
) -> None:
    with pytest.raises(BlobError, match="at most"):
        researcher.put_blob(bytes(8 * MEGABYTE + 1))
    for number in (1, 2):
        researcher.put_blob(bytes([number]) * (8 * MEGABYTE))
    with pytest.raises(QuotaExceeded) as refused:
        researcher.put_blob(b"one more")
    assert refused.value.code == "WW508"
    assert len([file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]) == 2


def test_an_upload_without_its_length_is_refused(datasite: int, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    path = f"/wanwu/v1/blobs/{digest}"
    url = f"http://127.0.0.1:{datasite}{path}"
    answer = httpx.put(
        url,
        headers=sign(SEED, "PUT", path, digest),
        content=iter([b"weights"]),
        trust_env=False,
        timeout=CEILING_SECONDS,
    )
    assert answer.json()["code"] == "WW503"
    assert not list((tmp_path / "blobs").rglob("*"))


def test_an_upload_that_breaks_off_leaves_what_came_aside(datasite: int, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"w" * 1000).hexdigest()
    path = f"/wanwu/v1/blobs/{digest}"
    fields = {**sign(SEED, "PUT", path, digest), "host": "127.0.0.1", "content-length": "1000"}
    head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", datasite)) as line:
        line.sendall(head.encode() + b"w" * 500)
        wait_for(lambda: [file for file in (tmp_path / "blobs").rglob(".*") if file.is_file()])
    wait_for(lambda: parts(tmp_path))
    (left,) = [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]
    assert left.name == f".part-{digest}" and left.read_bytes() == b"w" * 500


def _signed(datasite: int, path: str, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{datasite}{path}"
    return httpx.get(url, headers={**sign(SEED, "GET", path), **headers}, trust_env=False, timeout=CEILING_SECONDS)


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=2-"}, {"range": "bytes=2-", "if-range": "another"}])
def test_an_update_says_nothing_of_when_it_was_written(
    datasite: int, blobs: BlobStore, researcher: DatasiteClient, headers: dict[str, str]
) -> None:
    """Its run's end shows at times of a public grid only; the file is older."""
    digest = researcher.put_blob(b"an update")
    (file,) = (path for path in Path(blobs._folder).glob("*/*") if path.name == digest)
    told = []
    for seconds in (1_000_000_000, 1_700_000_003):
        os.utime(file, (seconds, seconds))
        answer = _signed(datasite, f"/wanwu/v1/blobs/{digest}", **headers)
        told.append((answer.status_code, answer.content, {**answer.headers, "date": ""}))
    assert told[0] == told[1]
    assert "2001" not in str(told) and "2023" not in str(told)


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=6-", f"bytes={10**15}-", f"bytes={'9' * 5000}-", "bytes=-1", "bytes=--1", "bytes=0-1", "bytes=0-,0-",
        "bytes=" + ",".join("0-1" for _ in range(500)), "bytes=", "lines=0-", "", "x",
    ],
)  # fmt: skip
def test_a_range_that_a_download_does_not_go_on_with_is_refused_in_the_one_shape(
    researcher: DatasiteClient, datasite: int, asked: str
) -> None:
    digest = researcher.put_blob(b"update")
    answer = _signed(datasite, f"/wanwu/v1/blobs/{digest}", range=asked)
    assert (answer.status_code, answer.json()["code"]) == (416, "WW614")


def test_the_rest_from_one_of_its_bytes_on_is_sent(researcher: DatasiteClient, datasite: int) -> None:
    digest = researcher.put_blob(b"update")
    for begin in (0, 2, 5):
        answer = _signed(datasite, f"/wanwu/v1/blobs/{digest}", range=f"bytes={begin}-")
        assert (answer.status_code, answer.content) == (206, b"update"[begin:])


@pytest.mark.parametrize(
    "rest",
    [
        "-1", "10000", "9" * 40, "9" * 5000, "1e3", "0x1", "0?seen=-2", f"0?seen={'9' * 5000}", f"0?seen={10**30}",
        "0?wait=-1", "0?wait=nan", "0?wait=inf", "0?wait=1e400", "0?wait=21", f"0?wait={'9' * 5000}",
    ],
)  # fmt: skip
def test_numbers_that_no_round_has_are_refused_in_the_one_shape(datasite: int, rest: str) -> None:
    answer = _signed(datasite, f"/wanwu/v1/requests/{'ab' * 16}/rounds/{rest}")
    assert (answer.status_code, answer.json()["code"]) == (422, "WW611")


def test_so_many_blobs_of_an_account_are_kept_and_the_same_one_counts_once(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    few = BlobStore(tmp_path / "few", limits=BlobLimits(max_bytes=100, account_blobs=3, expiry_seconds=10.0))
    one, other = "1" * 64, "2" * 64
    for content in (b"a", b"b", b"b", b"b", b"c"):
        few.put(one, content)
    with pytest.raises(QuotaExceeded, match="3 blobs"):
        few.put(one, b"d")
    few.put(other, b"d")
    again = BlobStore(tmp_path / "few", limits=BlobLimits(max_bytes=100, account_blobs=3, expiry_seconds=10.0))
    with pytest.raises(QuotaExceeded):
        again.put(one, b"d")
    assert again.expire((), now=time.time() + 100) == 4
    again.put(one, b"d")


def test_an_update_that_the_disk_sends_wrong_is_read_again_before_it_is_sent_again(
    researcher: DatasiteClient, blobs: BlobStore, tmp_path: Path
) -> None:
    digest = researcher.put_blob(b"update" * 1000)
    (kept,) = (tmp_path / "blobs").glob(f"*/{digest}")
    kept.write_bytes(b"wrong!" * 1000)
    with pytest.raises(FederationError, match="does not have its digest"):
        researcher.get_blob(digest, tmp_path / "blob", max_bytes=10_000)
    kept.write_bytes(b"update" * 1000)
    assert researcher.get_blob(digest, tmp_path / "blob", max_bytes=10_000) == 6000
    (tmp_path / "blob").unlink()
    kept.write_bytes(b"wrong!" * 1000)
    with pytest.raises(BlobUnknown):
        researcher.get_blob(digest, tmp_path / "blob", max_bytes=10_000)


def test_a_download_that_goes_on_has_the_disk_read_no_whole_update(
    researcher: DatasiteClient, datasite: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = researcher.put_blob(b"update")

    def unwanted(stream: Any, name: str) -> Any:
        raise AssertionError("nothing was asked for again")

    with monkeypatch.context() as watched:
        watched.setattr(hashlib, "file_digest", unwanted)
        for headers in ({}, {"range": "bytes=2-"}, {"range": "bytes=5-"}):
            answer = _signed(datasite, f"/wanwu/v1/blobs/{digest}", **headers)
            assert answer.content and b"update".endswith(answer.content)


def test_a_disk_that_cannot_read_an_update_is_told_in_one_sentence_and_the_update_stays(
    researcher: DatasiteClient, blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = researcher.put_blob(b"update")
    blobs.doubt(hashlib.sha256(b"").hexdigest(), digest)  # of another account: this one's is not touched
    researcher.get_blob(digest, tmp_path / "first", max_bytes=10)

    def refused(stream: Any, name: str) -> Any:
        raise OSError(errno.EIO, "a private place")

    with monkeypatch.context() as broken:
        broken.setattr(hashlib, "file_digest", refused)
        with pytest.raises(StorageUnavailable) as told:
            researcher.get_blob(digest, tmp_path / "second", max_bytes=10)
    assert "should look at its disk" in told.value.public and "private" not in told.value.public
    assert researcher.get_blob(digest, tmp_path / "second", max_bytes=10) == 6
