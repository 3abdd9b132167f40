"""What is written goes to the disk while the rest is still coming, and what a disk refuses is told."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.waiting import CEILING_SECONDS

from datasites.files import blob as blobs
from datasites.files.blob import Blob
from datasites.files.sync_ahead import STEP_BYTES, SyncAhead


class Disk:
    """A disk that notes how much of which file it was asked for; it takes as long as the test says."""

    def __init__(self, error: OSError | None = None) -> None:
        self.asked: list[tuple[int, int]] = []  # inode, bytes that the file had
        self.began, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._error = error

    def sync(self, descriptor: int) -> None:
        about = os.fstat(descriptor)
        self.asked.append((about.st_ino, about.st_size))
        self.began.set()
        assert self.may_end.wait(CEILING_SECONDS)
        try:
            if self._error is not None:
                raise self._error
            os.fdatasync(descriptor)
        finally:
            self.ended.set()


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    yield
    wait_until_over()


def wait_until_over() -> None:
    """Returns once no file is synced ahead any more."""
    for thread in threading.enumerate():
        if thread.name == "sync-ahead":
            thread.join(CEILING_SECONDS)
            assert not thread.is_alive()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_written_is_synced_before_the_file_is_whole(tmp_path: Path) -> None:
    file, disk = tmp_path / "blob", Disk()
    ahead = SyncAhead(file, sync=disk.sync)
    with file.open("xb", buffering=0) as stream:
        stream.write(bytes(STEP_BYTES))
        ahead.wrote(STEP_BYTES)
        assert disk.began.wait(CEILING_SECONDS)
        assert disk.asked == [(file.stat().st_ino, STEP_BYTES)]
        for part in (2, 3):  # come while the disk is busy: they are asked for at once
            stream.write(bytes(STEP_BYTES))
            ahead.wrote(part * STEP_BYTES)
        disk.began.clear()
        disk.may_end.set()
        assert disk.began.wait(CEILING_SECONDS)
    assert [size for _, size in disk.asked] == [STEP_BYTES, 3 * STEP_BYTES]
    ahead.end()
    ahead.check()


def test_a_small_file_has_no_thread(tmp_path: Path) -> None:
    file, disk = tmp_path / "blob", Disk()
    file.touch()
    ahead = SyncAhead(file, sync=disk.sync)
    ahead.wrote(STEP_BYTES - 1)
    assert ahead._thread is None
    ahead.end()
    assert not disk.asked


def test_nobody_waits_for_a_sync_that_is_under_way_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    file, disk, before = tmp_path / "blob", Disk(), open_files()
    file.touch()
    ahead = SyncAhead(file, sync=disk.sync)
    ahead.wrote(STEP_BYTES)
    assert disk.began.wait(CEILING_SECONDS)
    ahead.end()  # comes back though the disk does not
    assert not disk.ended.is_set()
    disk.may_end.set()
    wait_until_over()
    assert open_files() == before


def test_a_blob_that_the_disk_did_not_take_in_the_middle_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(OSError(errno.EIO, "no such luck"))
    monkeypatch.setattr(blobs, "SyncAhead", lambda path: SyncAhead(path, sync=disk.sync))
    blob = Blob(tmp_path, 2 * STEP_BYTES, threading.Lock())
    blob.write(bytes(STEP_BYTES))
    disk.may_end.set()
    assert disk.ended.wait(CEILING_SECONDS)
    wait_until_over()
    with pytest.raises(OSError, match="no such luck"):
        blob.write(b"1")  # who sends the rest is told at once
    with pytest.raises(OSError, match="no such luck"):
        blob.keep()
    blob.close()
    assert not list(tmp_path.iterdir()) and len(disk.asked) == 1


def test_what_came_of_an_upload_is_not_kept_where_the_disk_did_not_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system tells each opening of a file of an error once: the last sync of what goes on would not hear of it."""
    disk = Disk(OSError(errno.EIO, "no such luck"))
    monkeypatch.setattr(blobs, "SyncAhead", lambda path: SyncAhead(path, sync=disk.sync))
    before = Blob(tmp_path, 3 * STEP_BYTES, threading.Lock(), announced="d" * 64)
    before.write(b"1")
    before.set_aside("d" * 64)
    blob = Blob(tmp_path, 3 * STEP_BYTES, threading.Lock(), announced="d" * 64)
    blob.go_on("d" * 64, 1)
    blob.write(bytes(STEP_BYTES))
    disk.may_end.set()
    assert disk.ended.wait(CEILING_SECONDS)
    wait_until_over()
    blob.set_aside("d" * 64)
    blob.close()
    assert not list(tmp_path.iterdir())
    assert (blob.taken, blob.parts, blob.added, blob.is_new) == (1, 1, 0, False)


def test_what_came_before_a_kill_is_written_again_so_that_the_last_sync_hears_of_a_disk_that_refused_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(OSError(errno.EIO, "no such luck"))
    disk.may_end.set()
    monkeypatch.setattr(blobs, "SyncAhead", lambda path: SyncAhead(path, sync=disk.sync))
    content = secrets.token_bytes(STEP_BYTES + 5)
    digest = hashlib.sha256(content + b"rest").hexdigest()
    killed = Blob(tmp_path, 2 * STEP_BYTES, threading.Lock(), announced=digest)
    with contextlib.suppress(OSError):
        killed.write(content)
    killed._stream.close()  # what a process that is killed then leaves
    assert disk.ended.wait(CEILING_SECONDS)
    wait_until_over()
    monkeypatch.setattr(blobs, "SyncAhead", SyncAhead)
    Blob.find_parts(tmp_path)

    written, opened = list[tuple[int, int]](), Path.open

    class Noting(io.BufferedRandom):
        def write(self, chunk: Any) -> int:
            written.append((self.tell(), self.tell() + len(chunk)))
            return super().write(chunk)

    def noting(path: Path, mode: str = "r", *form: Any) -> Any:
        return Noting(io.FileIO(path, "r+")) if mode == "r+b" else opened(path, mode, *form)

    monkeypatch.setattr(Path, "open", noting)
    blob = Blob(tmp_path, 2 * STEP_BYTES, threading.Lock(), announced=digest)
    blob.go_on(digest, len(content))
    blob.write(b"rest")
    assert blob.keep() == digest
    blob.close()
    ends = [0, *(end for _, end in written)]
    assert [begin for begin, _ in written] == ends[:-1] and ends[-1] == len(content) + 4
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [content + b"rest"]


def test_where_no_file_can_be_opened_the_last_sync_does_it_all(tmp_path: Path) -> None:
    blob = Blob(tmp_path, 2 * STEP_BYTES, threading.Lock())
    blob._ahead = SyncAhead(tmp_path / "none" / "such")
    blob.write(bytes(2 * STEP_BYTES))
    digest = blob.keep()
    blob.close()
    assert (tmp_path / digest).stat().st_size == 2 * STEP_BYTES


def test_an_upload_that_goes_on_is_synced_ahead_too(tmp_path: Path) -> None:
    content = os.urandom(3 * STEP_BYTES)
    first = Blob(tmp_path, len(content), threading.Lock())
    first.write(content[:STEP_BYTES])
    first.set_aside("d" * 64)
    first.close()
    second, disk = Blob(tmp_path, len(content), threading.Lock(), announced="d" * 64), Disk()
    second._ahead = SyncAhead(second._aside, sync=disk.sync)
    disk.may_end.set()
    second.go_on("d" * 64, STEP_BYTES)
    second.write(content[STEP_BYTES:])
    assert disk.began.wait(CEILING_SECONDS)
    digest = second.keep()
    assert disk.asked[0] == ((tmp_path / digest).stat().st_ino, len(content))
    assert (tmp_path / digest).read_bytes() == content
    second.close()


# --- finished beside what the writer goes on with -------------------------------------------------------------------


def test_the_last_sync_covers_all_that_was_written_and_is_waited_for_when_it_is_needed(tmp_path: Path) -> None:
    blob, disk = Blob(tmp_path, 3 * STEP_BYTES, threading.Lock()), Disk()
    blob._ahead = SyncAhead(blob.file, sync=disk.sync)
    blob.write(bytes(STEP_BYTES))
    assert disk.began.wait(CEILING_SECONDS)
    blob.write(b"behind the last that was asked for")
    ahead = blob.finish()
    assert ahead is not None
    blob.show()
    blob.close()  # does not end it
    waited = threading.Thread(target=ahead.wait, daemon=True)
    waited.start()
    assert waited.is_alive() and len(disk.asked) == 1
    disk.may_end.set()
    waited.join(CEILING_SECONDS)
    assert not waited.is_alive()
    assert disk.asked[-1] == ((tmp_path / blob.digest).stat().st_ino, blob.size)


def test_the_last_sync_covers_what_lay_in_the_buffer_when_it_was_asked_for_before(tmp_path: Path) -> None:
    """The chunk that makes the file long enough to be asked for is the last, and so small that it is buffered."""
    blob, disk = Blob(tmp_path, 2 * STEP_BYTES, threading.Lock()), Disk()
    blob._ahead = SyncAhead(blob.file, sync=disk.sync)
    disk.may_end.set()
    blob.write(bytes(STEP_BYTES - 1))
    blob.write(b"1")
    assert disk.ended.wait(CEILING_SECONDS)
    assert disk.asked == [(blob.file.stat().st_ino, STEP_BYTES - 1)]  # else it tests nothing
    ahead = blob.finish()
    assert ahead is not None
    ahead.wait()
    assert disk.asked[-1] == (blob.file.stat().st_ino, STEP_BYTES)
    blob.close()


def test_nothing_is_finished_beside_for_a_small_file(tmp_path: Path) -> None:
    blob = Blob(tmp_path, 100, threading.Lock())
    blob.write(b"small")
    assert blob.finish() is None
    blob.close()


def test_nor_where_no_thread_could_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    blob = Blob(tmp_path, STEP_BYTES, threading.Lock())
    monkeypatch.setattr(threading.Thread, "start", start)
    blob.write(bytes(STEP_BYTES))
    assert blob.finish() is None
    digest = blob.keep()
    blob.close()
    assert (tmp_path / digest).stat().st_size == STEP_BYTES


def test_what_the_disk_refuses_at_the_end_is_told_to_who_waits(tmp_path: Path) -> None:
    blob, disk = Blob(tmp_path, STEP_BYTES, threading.Lock()), Disk(OSError(errno.EIO, "no such luck"))
    blob._ahead = SyncAhead(blob.file, sync=disk.sync)
    blob.write(bytes(STEP_BYTES))
    ahead = blob.finish()
    disk.may_end.set()
    assert ahead is not None
    with pytest.raises(OSError, match="no such luck"):
        ahead.wait()
    with pytest.raises(OSError, match="no such luck"):
        ahead.wait()  # whoever else needs it
    blob.close()
