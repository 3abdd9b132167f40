"""Files that are the old ones or the new ones: where the disk is full, the old one stays and what to do is said."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path

import pytest
from support.synced import on_the_disk

from policies.errors import ConfigError
from researcher import atomic_file


def test_a_full_disk_leaves_the_file_that_was_there_and_asks_for_room(
    tmp_path: Path,
) -> None:
    file = atomic_file.write(tmp_path / "receipt.json", "an earlier one")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ConfigError, match=r"File too large\). Make room, or choose another folder"):
            atomic_file.write(file, b"0" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["an earlier one"]


def test_a_file_in_place_of_a_folder_asks_for_another_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Choose a folder you may write to"):
        atomic_file.write(tmp_path / "file" / "receipt.json", "")


def test_what_is_written_is_there_after_a_loss_of_power_and_so_are_its_new_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = on_the_disk(monkeypatch)
    atomic_file.write(tmp_path / "state.json", "one")
    assert told == ["file", "rename", f"{tmp_path.name}/"], "its bytes before its name, and its name before it returns"
    told.clear()
    atomic_file.write(tmp_path / "out" / "study" / "state.json", "one")
    assert told == [f"{tmp_path.name}/", "out/", "file", "rename", "study/"]


def test_a_file_system_that_cannot_sync_folders_and_a_folder_that_cannot_be_listed_are_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    number = errno.EINVAL
    atomic_file.write(tmp_path / "state.json", "one")
    number = errno.EIO
    with pytest.raises(ConfigError, match="cannot be written"):
        atomic_file.write(tmp_path / "state.json", "two")
