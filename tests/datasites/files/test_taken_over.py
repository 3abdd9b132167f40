"""A file that is whole becomes a blob without being written again, if nobody can write to it any more."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from datasites.files.blob import Blob
from policies.errors import BlobError

CONTENT = b"the run's result"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    file = tmp_path / "scratch" / "update"
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def blob(tmp_path: Path) -> Iterator[Blob]:
    (tmp_path / "account").mkdir()
    made = Blob(tmp_path / "account", 100, threading.Lock())
    yield made
    made.close()


def test_it_becomes_the_blob_and_has_no_other_name(tmp_path: Path, blob: Blob, result: Path) -> None:
    inode = result.stat().st_ino
    assert blob.take_over(result)
    assert blob.file.read_bytes() == CONTENT and not result.exists()
    blob.found(CONTENT[:5])
    blob.found(CONTENT[5:])
    digest = blob.keep()
    kept = tmp_path / "account" / digest
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert (kept.read_bytes(), kept.stat().st_ino, kept.stat().st_mode & 0o777) == (CONTENT, inode, 0o600)
    assert (blob.size, blob.added, blob.is_new) == (len(CONTENT), len(CONTENT), True)


def test_it_is_on_the_disk_before_it_shows(
    tmp_path: Path, blob: Blob, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, list[str]]] = []
    inode = result.stat().st_ino

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, os.listdir(tmp_path / "account")))

    assert blob.take_over(result)
    blob.found(CONTENT)
    monkeypatch.setattr("datasites.files.blob.os.fsync", fsync)
    digest = blob.keep()
    assert synced == [(inode, [blob.file.name]), ((tmp_path / "account").stat().st_ino, [digest])]


def test_what_is_not_kept_leaves_nothing(tmp_path: Path, blob: Blob, result: Path) -> None:
    assert blob.take_over(result)
    blob.close()
    assert not list((tmp_path / "account").iterdir()) and not result.exists()


def test_more_than_was_announced_is_refused(blob: Blob, result: Path) -> None:
    result.write_bytes(bytes(101))
    assert blob.take_over(result)
    with pytest.raises(BlobError, match="100"):
        blob.found(bytes(101))


@contextmanager
def written(file: Path) -> Iterator[Path]:
    with file.open("ab"):
        yield file


@contextmanager
def mapped(file: Path) -> Iterator[Path]:
    with file.open("r+b") as stream:
        room = mmap.mmap(stream.fileno(), 0)
    yield file
    room.close()


@contextmanager
def named_twice(file: Path) -> Iterator[Path]:
    os.link(file, file.with_name("second"))
    yield file


@contextmanager
def link(file: Path) -> Iterator[Path]:
    (other := file.with_name("link")).symlink_to(file)
    yield other


@contextmanager
def pipe(file: Path) -> Iterator[Path]:
    os.mkfifo(other := file.with_name("pipe"))
    yield other


@contextmanager
def missing(file: Path) -> Iterator[Path]:
    yield file.with_name("missing")


@pytest.mark.parametrize("held", [written, mapped, named_twice, link, pipe, missing], ids=lambda held: held.__name__)
def test_what_somebody_could_still_write_to_is_not_taken(
    tmp_path: Path, blob: Blob, result: Path, held: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    before = os.listdir("/proc/self/fd")
    with held(result) as file:
        present = len(os.listdir("/proc/self/fd"))
        assert not blob.take_over(file)
        assert len(os.listdir("/proc/self/fd")) == present
    assert result.read_bytes() == CONTENT
    assert len(os.listdir("/proc/self/fd")) == len(before)
    blob.write(CONTENT)  # as if nothing had been tried
    assert (tmp_path / "account" / blob.keep()).read_bytes() == CONTENT


def test_what_is_of_another_account_is_not_taken(blob: Blob, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasites.files.blob.os.geteuid", lambda: os.getuid() + 1)
    assert not blob.take_over(result) and result.exists()


def test_a_file_that_is_exchanged_while_it_is_looked_at_is_not_kept(
    tmp_path: Path, blob: Blob, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = result.with_name("other")
    other.write_bytes(b"something else")
    monkeypatch.setattr("datasites.files.blob._check_unwritten", lambda descriptor: other.replace(result))
    with pytest.raises(BlobError, match="exchanged"):
        blob.take_over(result)
    blob.close()
    assert not list((tmp_path / "account").iterdir())


def test_what_lies_on_another_disk_is_not_taken(blob: Blob, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "rename", rename)
    assert not blob.take_over(result) and result.read_bytes() == CONTENT


def test_where_the_file_system_does_not_tell_who_writes_nothing_is_taken(
    blob: Blob, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fcntl(descriptor: int, command: int, value: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("datasites.files.blob.fcntl.fcntl", fcntl)
    assert not blob.take_over(result) and result.read_bytes() == CONTENT
