"""The blob store: what shows, what is left after a failure, how much fits, and how long it stays."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from support.waiting import CEILING_SECONDS, wait_for

from datasites.files import blob as blob_module
from datasites.files.sync_ahead import STEP_BYTES, SyncAhead
from datasites.runs import blobs as module
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.expiry import Expiry
from policies.errors import BlobError, BlobUnknown, DiskFull, QuotaExceeded, RunFailed, StorageUnavailable

ALICE, BOB = "a" * 64, "b" * 64
WEEK = 7 * 24 * 3600.0


def store(folder: Path, **limits: Any) -> BlobStore:
    return BlobStore(
        folder, limits=BlobLimits(**{"max_bytes": 100, "account_bytes": 200, "total_bytes": 300, **limits})
    )


def receive(blobs: BlobStore, content: bytes, *, account: str = ALICE, digest: str = "", size: int = -1) -> str:
    digest = digest or hashlib.sha256(content).hexdigest()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    asyncio.run(blobs.receive(account, digest, len(content) if size < 0 else size, chunks()))
    return digest


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_a_blob_is_read_by_the_account_it_is_for_and_by_no_other(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = receive(blobs, b"weights")
    assert blobs.path(ALICE, digest).read_bytes() == b"weights"
    with pytest.raises(BlobUnknown):
        blobs.path(BOB, digest)


@pytest.mark.parametrize("digest", ["", "../" * 10, "0" * 63, "0" * 64])
def test_what_is_no_blob_is_unknown(tmp_path: Path, digest: str) -> None:
    with pytest.raises(BlobUnknown):
        store(tmp_path).path(ALICE, digest)


@pytest.mark.parametrize(
    "wrong",
    [{"digest": "0" * 64}, {"size": 3}, {"size": 50}, {"size": 101}],
    ids=["digest", "more", "less", "too large"],
)
def test_an_upload_that_is_not_what_was_announced_leaves_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    blobs = store(tmp_path)
    with pytest.raises(BlobError):
        receive(blobs, b"not these bytes", **wrong)
    assert files(tmp_path) == []
    for number in range(2):  # nor does it keep any room: two of a hundred bytes still fit
        receive(blobs, bytes([number]) * 100)


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(store(tmp_path).receive(ALICE, "0" * 64, 10, chunks()))
    assert files(tmp_path) == []


def break_off(blobs: BlobStore, content: bytes, came: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        if came:
            yield content[:came]
        raise ClientDisconnect

    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(ClientDisconnect):
        asyncio.run(blobs.receive(ALICE, digest, len(content), chunks()))


def test_an_upload_of_which_nothing_came_leaves_nothing(tmp_path: Path) -> None:
    blobs = store(tmp_path, account_blobs=2)
    for _ in range(3):
        break_off(blobs, b"1" * 100, 0)
    assert files(tmp_path) == []
    blobs.check_room(ALICE, 100)


def test_what_came_before_an_upload_was_sent_whole_takes_no_room_any_more(tmp_path: Path) -> None:
    blobs = store(tmp_path, account_blobs=2)
    for came in (30, 20, 60):
        break_off(blobs, b"1" * 100, came)
    assert (blobs.received(ALICE, hashlib.sha256(b"1" * 100).hexdigest()), len(files(tmp_path))) == (60, 1)
    whole = receive(blobs, b"1" * 100)
    assert files(tmp_path) == [whole]
    blobs.check_room(ALICE, 100)
    with pytest.raises(QuotaExceeded), blobs.write(ALICE, at_most=100):
        blobs.check_room(ALICE, 1)


def test_a_blob_does_not_show_before_it_is_whole(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = hashlib.sha256(b"update").hexdigest()
    with blobs.write(ALICE, at_most=10) as blob:
        blob.write(b"update")
        with pytest.raises(BlobUnknown):
            blobs.path(ALICE, digest)
        assert blob.keep() == digest
    assert blobs.path(ALICE, digest).read_bytes() == b"update"


def test_a_blob_is_on_disk_before_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        seen.append((name[:1], any(not file.startswith(".") for file in files(tmp_path))))
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", fsync)
    store(tmp_path).put(ALICE, b"update")
    assert seen == [(".", False), ("a", True)]  # its content before the rename, the folder after it


def test_what_a_stop_left_half_written_is_gone_at_the_next_start(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = blobs.put(ALICE, b"whole")
    (tmp_path / ALICE[:32] / ".torn").write_bytes(b"half")
    again = store(tmp_path)
    assert files(tmp_path) == [digest]
    assert again.path(ALICE, digest).read_bytes() == b"whole"


def test_an_upload_goes_on_at_a_datasite_that_was_killed_in_its_middle(tmp_path: Path) -> None:
    """Also once it was stopped in good order, and with the longest of several beginnings."""
    content, left = os.urandom(60_000), tmp_path / "left"
    digest, large = hashlib.sha256(content).hexdigest(), {"max_bytes": 100_000, "account_bytes": 200_000}

    async def chunks(of: bytes, killed_at: int = 0) -> AsyncIterator[bytes]:
        for start in range(0, len(of), 10_000):
            yield of[start : start + 10_000]
            if killed_at and start == killed_at:
                shutil.copytree(tmp_path / "before", left)  # what is on the disk at this moment

    (tmp_path / "before").mkdir()
    running = store(tmp_path / "before", **large, total_bytes=300_000)
    asyncio.run(running.receive(ALICE, digest, len(content), chunks(content, killed_at=30_000)))
    for _ in range(2):
        again = store(left, **large, total_bytes=300_000)
        came = again.received(ALICE, digest)
        assert 20_000 <= came <= 40_000 and files(left) == [f".part-{digest}"]
    asyncio.run(again.receive(ALICE, digest, len(content), chunks(content[came:]), begin=came))
    assert files(left) == [digest] and again.path(ALICE, digest).read_bytes() == content


# --- on the disk for good ---------------------------------------------------------------------------------------


class SlowDisk:
    """A disk that takes what is synced beside the writing when the test says so, or refuses it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: OSError | None = None) -> None:
        self.may_end, self._error = threading.Event(), error
        monkeypatch.setattr(blob_module, "SyncAhead", lambda path: SyncAhead(path, sync=self._sync))

    def _sync(self, descriptor: int) -> None:
        assert self.may_end.wait(CEILING_SECONDS)
        if self._error is not None:
            raise self._error
        os.fdatasync(descriptor)


def large_store(folder: Path) -> BlobStore:
    return store(folder, max_bytes=1 << 30, account_bytes=1 << 30, total_bytes=1 << 30)


def settled(blobs: BlobStore, digest: str) -> threading.Thread:
    waits = threading.Thread(target=blobs.settle, args=(ALICE, digest), daemon=True)
    waits.start()
    return waits


def put_in(blobs: BlobStore, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()

    async def whole() -> AsyncIterator[bytes]:
        yield content

    asyncio.run(blobs.receive(ALICE, digest, len(content), whole()))
    return digest


def test_what_came_in_is_read_at_once_and_settles_once_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, blobs = SlowDisk(monkeypatch), large_store(tmp_path)
    digest = put_in(blobs, bytes(STEP_BYTES))
    assert blobs.path(ALICE, digest).stat().st_size == STEP_BYTES
    folders: list[int] = []
    monkeypatch.setattr(module, "sync_folder", lambda folder: folders.append(folder.stat().st_ino))
    first, second = settled(blobs, digest), settled(blobs, digest)
    assert first.is_alive() and second.is_alive() and not folders
    disk.may_end.set()
    for waits in (first, second):
        waits.join(CEILING_SECONDS)
        assert not waits.is_alive()
    assert set(folders) == {(tmp_path / ALICE[:32]).stat().st_ino}
    blobs.settle(ALICE, digest)  # nothing is left to wait for


def test_a_small_one_settles_at_once_and_none_that_is_not_there(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    blobs.settle(ALICE, receive(blobs, b"small"))
    with pytest.raises(RunFailed, match="disk did not take"):
        blobs.settle(ALICE, "0" * 64)


def test_what_the_disk_did_not_take_is_gone_and_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, blobs = SlowDisk(monkeypatch, OSError(errno.EIO, "a private place")), large_store(tmp_path)
    digest = put_in(blobs, bytes(STEP_BYTES))
    disk.may_end.set()
    with pytest.raises(RunFailed, match="disk did not take") as refused:
        blobs.settle(ALICE, digest)
    assert "private" not in refused.value.public and "private" in refused.value.private
    with pytest.raises(BlobUnknown):
        blobs.path(ALICE, digest)
    with pytest.raises(RunFailed, match="disk did not take"):
        blobs.settle(ALICE, digest)  # another run of the same weights, which has them open, is not charged either
    assert files(tmp_path) == []
    blobs.check_room(ALICE, 1 << 30)
    monkeypatch.undo()
    assert put_in(blobs, bytes(STEP_BYTES)) == digest
    blobs.settle(ALICE, digest)


def test_the_same_bytes_sent_again_wait_for_those_that_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a name could stand for a file that nobody waits for."""
    disk, blobs = SlowDisk(monkeypatch), large_store(tmp_path)
    put_in(blobs, bytes(STEP_BYTES))
    again = threading.Thread(target=put_in, args=(blobs, bytes(STEP_BYTES)), daemon=True)
    again.start()
    wait_for(lambda: len(files(tmp_path)) == 2)
    assert again.is_alive()
    disk.may_end.set()
    again.join(CEILING_SECONDS)
    assert not again.is_alive() and len(files(tmp_path)) == 1


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "no such luck")], ids=["taken", "refused"])
def test_who_waited_for_bytes_leaves_alone_the_same_ones_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    disk, blobs = SlowDisk(monkeypatch, error), large_store(tmp_path)
    digest = put_in(blobs, bytes(STEP_BYTES))
    first, second = blobs._settling[ALICE[:32], digest], SyncAhead(tmp_path / "none")
    waited = first.wait

    def wait() -> None:
        blobs._settling[ALICE[:32], digest] = second  # as another upload of them does, once it has waited too
        waited()

    monkeypatch.setattr(first, "wait", wait)
    disk.may_end.set()
    with contextlib.nullcontext() if error is None else pytest.raises(RunFailed):
        blobs.settle(ALICE, digest)
    assert blobs._settling == {(ALICE[:32], digest): second}
    assert files(tmp_path) == [digest]


def test_nobody_is_told_that_bytes_are_settled_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, blobs = SlowDisk(monkeypatch), large_store(tmp_path)
    digest = put_in(blobs, bytes(STEP_BYTES))
    disk.may_end.set()
    blobs.settle(ALICE, digest)
    show, seen, named = blob_module.Blob.show, list[bool](), list[int]()

    def slow(blob: blob_module.Blob) -> None:
        waits.start()
        waits.join(0.2)
        seen.append(waits.is_alive())
        show(blob)
        named.append((tmp_path / ALICE[:32] / digest).stat().st_ino)

    def look() -> None:
        blobs.settle(ALICE, digest)
        seen.append(bool(named))

    waits = threading.Thread(target=look, daemon=True)
    monkeypatch.setattr(blob_module.Blob, "show", slow)
    put_in(blobs, bytes(STEP_BYTES))
    waits.join(CEILING_SECONDS)
    assert seen == [True, True]


def test_a_blob_that_a_power_cut_tore_is_unknown_and_takes_no_room(tmp_path: Path) -> None:
    torn, whole = (receive(store(tmp_path), bytes([number]) * 100) for number in (1, 2))
    (tmp_path / ALICE[:32] / torn).write_bytes(bytes(100))  # of the length that it had
    blobs = store(tmp_path)
    assert blobs.path(ALICE, whole).read_bytes() == bytes([2]) * 100
    with pytest.raises(QuotaExceeded):
        blobs.check_room(ALICE, 1)
    with pytest.raises(BlobUnknown):
        blobs.path(ALICE, torn)
    assert files(tmp_path) == [whole]
    blobs.check_room(ALICE, 100)
    assert receive(blobs, bytes([1]) * 100) == torn and blobs.path(ALICE, torn).stat().st_size == 100


def test_what_an_earlier_process_left_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = receive(store(tmp_path), b"weights")
    blobs, looked = store(tmp_path), list[Path]()
    real = blobs._is_right
    monkeypatch.setattr(blobs, "_is_right", lambda file: looked.append(file) or real(file))
    own = receive(blobs, b"sent to this one")
    for _ in range(2):
        blobs.path(ALICE, digest)
        blobs.path(ALICE, own)
    assert [file.name for file in looked] == [digest]


def test_a_torn_one_that_is_sent_again_while_it_is_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = receive(store(tmp_path), b"weights")
    file = tmp_path / ALICE[:32] / digest
    file.write_bytes(b"torn")
    blobs = store(tmp_path)
    real = hashlib.file_digest

    def meanwhile(stream: Any, name: str) -> Any:
        receive(blobs, b"weights")
        return real(stream, name)

    with file.open("rb"):  # whose number no other file gets meanwhile
        monkeypatch.setattr(hashlib, "file_digest", meanwhile)
        assert blobs._is_right(file) is False
    assert blobs.path(ALICE, digest).read_bytes() == b"weights"


class FlakyDisk:
    """Looks at files that go as they are told: an error, other bytes, or None for what is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: OSError | bytes | None) -> None:
        self.left, self.real = list(looks), hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", self)

    def __call__(self, stream: Any, name: str) -> Any:
        look = self.left.pop(0)
        if isinstance(look, OSError):
            raise look
        if look is not None:
            stream.read()  # a look that reads wrong is at the end of the file too
        return self.real(stream, name) if look is None else hashlib.sha256(look)


REFUSED = OSError(errno.EIO, "a private place")


@pytest.mark.parametrize("looks", [(REFUSED, None), (b"wrong", None), (b"wrong", REFUSED, None)])
def test_what_reads_wrong_once_is_read_again_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: tuple[OSError | bytes | None, ...]
) -> None:
    digest = receive(store(tmp_path), b"update")
    blobs, disk = store(tmp_path), FlakyDisk(monkeypatch, *looks)
    assert blobs.path(ALICE, digest).read_bytes() == b"update" and not disk.left


@pytest.mark.parametrize("looks", [(REFUSED,) * 3, (b"wrong", REFUSED, b"wrong"), (b"one", b"another", b"one")])
def test_what_the_disk_cannot_read_now_stays_and_is_told_without_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: tuple[OSError | bytes, ...]
) -> None:
    digest = receive(store(tmp_path), b"update")
    blobs = store(tmp_path)
    with monkeypatch.context() as broken:
        FlakyDisk(broken, *looks)
        with pytest.raises(StorageUnavailable, match=r"cannot read this back now.*ask again later") as told:
            blobs.path(ALICE, digest)
    assert digest in told.value.private and "private place" not in told.value.public
    assert blobs.path(ALICE, digest).read_bytes() == b"update", "the disk was mended"


def test_what_three_looks_read_alike_and_wrong_is_given_up_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = receive(store(tmp_path), b"update")
    (tmp_path / ALICE[:32] / digest).write_bytes(b"wrong!")
    with pytest.raises(BlobUnknown):
        store(tmp_path).path(ALICE, digest)
    assert files(tmp_path) == [] and digest in caplog.text and "3 looks" in caplog.text


def test_a_doubted_blob_is_read_before_it_is_handed_out_again(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = receive(blobs, b"update")
    (tmp_path / ALICE[:32] / digest).write_bytes(b"wrong!")
    assert blobs.path(ALICE, digest).read_bytes() == b"wrong!", "it was written by this process"
    blobs.doubt(ALICE, digest)
    with pytest.raises(BlobUnknown):
        blobs.path(ALICE, digest)


def test_a_blob_is_read_as_a_whole_where_it_is_handed_out_from_its_beginning_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, looks = store(tmp_path), list[str]()
    digest = receive(blobs, b"update")
    read = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, name: looks.append(stream.name) or read(stream, name))
    blobs.from_the_beginning(ALICE, digest)
    for _ in range(3):
        blobs.path(ALICE, digest)
    assert not looks, "it was written by this process, and going on is no reason to look"
    for again in (1, 2):
        blobs.from_the_beginning(ALICE, digest)
        assert len(looks) == again


# --- room ----------------------------------------------------------------------------------------------------


def test_an_account_has_its_quota_and_no_more(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    receive(blobs, b"1" * 100)
    receive(blobs, b"2" * 99)
    with pytest.raises(QuotaExceeded, match="1 of this account's 200"):
        receive(blobs, b"33")
    assert len(files(tmp_path)) == 2
    receive(blobs, b"3")
    receive(blobs, b"4" * 100, account=BOB)


def test_the_datasite_has_its_quota_over_all_accounts(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    for number, account in ((1, ALICE), (2, ALICE), (3, BOB)):
        receive(blobs, bytes([number]) * 100, account=account)
    with pytest.raises(QuotaExceeded, match="datasite's room"):
        receive(blobs, b"4", account=BOB)


def test_the_same_blob_again_takes_no_more_room(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    for _ in range(5):
        receive(blobs, b"1" * 90)
    receive(blobs, b"2" * 100)


def test_a_quota_counts_what_was_there_before_the_start(tmp_path: Path) -> None:
    receive(store(tmp_path), b"1" * 100)
    blobs = store(tmp_path)
    receive(blobs, b"2" * 100)
    with pytest.raises(QuotaExceeded):
        receive(blobs, b"3")


def test_uploads_at_once_share_the_quota(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    with blobs.write(ALICE, at_most=100), blobs.write(ALICE, at_most=100):
        with pytest.raises(QuotaExceeded):
            blobs.check_room(ALICE, 1)
        blobs.check_room(BOB, 100)
    blobs.check_room(ALICE, 100)


def test_a_disk_with_too_little_room_left_takes_no_blob(tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        receive(store(tmp_path, free_disk_bytes=1 << 60), b"weights")
    assert files(tmp_path) == []


def test_what_is_being_written_at_once_shares_the_room_that_the_disk_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=170))
    blobs = store(tmp_path, free_disk_bytes=20)
    with blobs.write(ALICE, at_most=100), pytest.raises(DiskFull):
        receive(blobs, b"2" * 100, account=BOB)
    receive(blobs, b"2" * 100, account=BOB)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_is_full_gives_a_named_error_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    blobs = store(tmp_path)
    monkeypatch.setattr(module.os, "fsync", fsync)
    with pytest.raises(DiskFull) as full:
        receive(blobs, b"weights")
    assert os.strerror(number) not in full.value.public
    assert files(tmp_path) == []


def test_what_the_kernel_itself_refuses_to_write_gives_a_named_error(tmp_path: Path) -> None:
    """This process may write no more than 10 bytes to a file."""
    import resource
    import signal

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, old[1]))
    try:
        with pytest.raises(DiskFull):
            receive(store(tmp_path), b"w" * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(tmp_path) == []


# --- expiry --------------------------------------------------------------------------------------------------


def test_a_blob_expires_after_its_time_and_frees_its_room(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digests = [receive(blobs, bytes([number]) * 100) for number in range(2)]
    written = blobs.path(ALICE, digests[0]).stat().st_mtime
    assert blobs.expire([], now=written + WEEK - 60) == 0
    assert blobs.expire([], now=written + WEEK + 60) == 2
    receive(blobs, b"3" * 100)


def test_a_needed_blob_never_expires_and_its_time_begins_when_it_is_not_needed_any_more(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = receive(blobs, b"update")
    written = blobs.path(ALICE, digest).stat().st_mtime
    assert blobs.expire([(ALICE, digest)], now=written + 10 * WEEK) == 0
    assert blobs.expire([], now=written + 11 * WEEK - 60) == 0
    assert blobs.expire([], now=written + 11 * WEEK + 60) == 1


def test_needed_by_one_account_is_not_needed_by_another(tmp_path: Path) -> None:
    blobs = store(tmp_path)
    digest = receive(blobs, b"shared")
    receive(blobs, b"shared", account=BOB)
    written = blobs.path(ALICE, digest).stat().st_mtime
    assert blobs.expire([(ALICE, digest)], now=written + 2 * WEEK) == 1
    assert blobs.path(ALICE, digest)


class Decisions:
    """Stands for the approvals: request → state."""

    def __init__(self, **states: str) -> None:
        self.states = states

    def of_request(self, request_id: str) -> Any:
        state = self.states.get(request_id)
        return None if state is None else type("Decision", (), {"decision": state})()


NO_LOCAL_PARTS: Any = SimpleNamespace(expire=lambda live: 0)


def test_an_update_outlives_its_study_by_the_grace_time_and_no_more(tmp_path: Path) -> None:
    from datasites.runs.queue import RunQueue

    (tmp_path / "blobs").mkdir()
    blobs, queue = store(tmp_path / "blobs"), RunQueue(tmp_path / "runs.sqlite")
    try:
        weights = {name: receive(blobs, name.encode()) for name in ("live", "over", "waiting")}
        update = {name: blobs.put(ALICE, b"update of " + name.encode()) for name in ("live", "over")}
        for name in ("live", "over"):
            run = queue.enqueue(request_id=name, round_index=0, account=ALICE, weights=weights[name])
            assert queue.take(run.id) is not None
            queue.finish(run.id, update[name])
        queue.enqueue(request_id="live", round_index=1, account=ALICE, weights=weights["waiting"])
        decisions = Decisions(live="approved", over="ended")
        expiry = Expiry(blobs, queue, decisions, NO_LOCAL_PARTS)  # type: ignore[arg-type]
        later = blobs.path(ALICE, update["live"]).stat().st_mtime + WEEK + 60
        assert expiry.look(now=later) == 3
        assert set(files(tmp_path / "blobs")) == {update["live"], weights["waiting"]}
        decisions.states["live"] = "ended"
        assert expiry.look(now=later + WEEK - 60) == 0
        assert expiry.look(now=later + WEEK + 60) == 2
    finally:
        queue.close()


def test_nothing_expires_when_it_cannot_be_found_out_what_is_needed(tmp_path: Path) -> None:
    class Broken:
        def list(self) -> Any:
            raise OSError("disk")

    blobs = store(tmp_path, expiry_seconds=-1.0)
    digest = receive(blobs, b"update")
    expiry = Expiry(blobs, Broken(), Decisions(), NO_LOCAL_PARTS)  # type: ignore[arg-type]
    expiry.start()
    expiry.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "expiry"]
    assert blobs.path(ALICE, digest)


def test_a_disk_that_refuses_to_remove_what_is_not_there_costs_no_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, removed = store(tmp_path), Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("."):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        removed(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    digest = blobs.put(ALICE, b"update")
    assert blobs.path(ALICE, digest).read_bytes() == b"update" and files(tmp_path) == [digest]
    with pytest.raises(BlobError), blobs.write(ALICE, at_most=10) as blob:
        blob.write(b"half")
        blob.write(b"more than was announced")
    assert len(files(tmp_path)) == 2, "half of it, under a name that nobody is handed"
    monkeypatch.undo()
    assert files(tmp_path) != [digest] and store(tmp_path) and files(tmp_path) == [digest], "the next start removes it"
