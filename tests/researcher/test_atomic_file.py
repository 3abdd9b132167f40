"""Files that are the old ones or the new ones: where the disk is full, the old one stays and what to do is said."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

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
