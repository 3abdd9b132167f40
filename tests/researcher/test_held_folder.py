"""One process works on a study's folder at a time: others are told which, and a killed one leaves it free."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT

from policies.errors import ConfigError
from researcher import held_folder
from researcher.held_folder import LOCK, FolderLock

HOLDS = """
import sys
from pathlib import Path
from researcher.held_folder import FolderLock
with FolderLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder `study`, until its input ends."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "study")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_comes_second_is_told_the_number_of_the_process_that_is_there(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    with pytest.raises(ConfigError, match=f"^Process {other.pid} works on the study in {folder} now"):
        FolderLock(folder).held().__enter__()
    other.communicate("")
    assert not list(folder.iterdir())
    with FolderLock(folder).held():
        assert (folder / LOCK).read_text().split()[0] == str(os.getpid())


def test_a_killed_process_leaves_the_folder_to_whoever_comes_next(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "study" / LOCK).read_text().startswith(str(other.pid))
    with FolderLock(tmp_path / "study").held(), pytest.raises(ConfigError, match=f"Process {os.getpid()} works"):
        FolderLock(tmp_path / "study").held().__enter__()


def test_one_on_another_machine_is_named_with_its_machine(tmp_path: Path) -> None:
    """A folder that two machines share."""
    with FolderLock(tmp_path).held():
        (tmp_path / LOCK).write_text("17 far-away\x1b[2J\n")
        with pytest.raises(ConfigError, match=r"^Process 17 on far-away\\x1b\[2J works"):
            FolderLock(tmp_path).held().__enter__()


@pytest.mark.parametrize("written", ["", "no number", "4194305"])
def test_one_that_has_not_said_who_it_is_keeps_others_out_all_the_same(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_folder, "_SECONDS_BETWEEN", 0.0)
    with FolderLock(tmp_path).held():
        (tmp_path / LOCK).write_text(written and f"{written} {os.uname().nodename}")
        with pytest.raises(ConfigError, match=r"^Another process works"):
            FolderLock(tmp_path).held().__enter__()


def test_its_own_thread_takes_it_again_and_another_does_not(tmp_path: Path) -> None:
    lock, refused = FolderLock(tmp_path), list[str]()

    def take() -> None:
        try:
            lock.held().__enter__()
        except ConfigError as error:
            refused.append(error.public)

    with lock.held():
        with lock.held():
            pass
        assert (tmp_path / LOCK).exists(), "the inner block ends nothing"
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert len(refused) == 1 and not list(tmp_path.iterdir())


def test_a_lock_that_was_removed_while_somebody_waited_for_it_locks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one holds the file that is gone and another the one that is there, both sure to be alone."""
    locked, lock = list[int](), fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        lock(descriptor, how)
        locked.append(descriptor)
        if len(locked) == 1:
            (tmp_path / LOCK).unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with FolderLock(tmp_path).held():
        monkeypatch.undo()
        with pytest.raises(ConfigError, match="works on the study"):
            FolderLock(tmp_path).held().__enter__()
    assert len(locked) == 2


def test_a_folder_that_cannot_be_made_or_locked_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Choose a folder you may write to"):
        FolderLock(tmp_path / "file" / "study").held().__enter__()

    def unlocked(descriptor: int, how: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", unlocked)
    with pytest.raises(ConfigError, match=r"\(Input/output error\)\. Choose a folder"):
        FolderLock(tmp_path).held().__enter__()
