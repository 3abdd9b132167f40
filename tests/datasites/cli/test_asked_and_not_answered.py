"""A command whose datasite was asked and did not answer says that it may have been done, and not that it never ran."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.closed_folders import run_shut_out

from datasites.cli import console, main

APPROVE = ["approve", "0123abcd"]
LIST = ["requests"]


@contextmanager
def asked(tmp_path: Path, then: Callable[[socket.socket], None]) -> Iterator[list[str]]:
    """The options of a command that asks a console which reads what it is asked and then does this."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            talking, _ = listening.accept()
            with talking:
                talking.recv(1 << 16)
                then(talking)

        server = threading.Thread(target=serve)
        server.start()
        file = tmp_path / "own.json"
        file.write_text(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}", "token": "t"}))
        yield ["--as", str(file)]
        server.join()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (APPROVE, f"ended before it had answered. {console.MAY_BE_DONE}"),
        (LIST, "ended before it had answered. Try again"),
    ],
)
def test_a_datasite_that_dies_while_it_answers_is_not_said_to_have_been_down(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with asked(tmp_path, lambda talking: None) as options:
        assert main([*words, *options]) == 1
    assert told in capsys.readouterr().err


def test_one_that_takes_too_long_is_not_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "ANSWER_SECONDS", 0.2)
    over = threading.Event()
    with asked(tmp_path, lambda talking: over.wait() and None) as options:
        assert main([*APPROVE, *options]) == 1
        over.set()
    assert f"has not answered in time. {console.MAY_BE_DONE}" in capsys.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, as in a terminal: whoever runs tests in the background has them begin deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("words", "told"), [(APPROVE, True), (LIST, False)])
def test_whoever_stops_a_command_that_decides_learns_that_the_datasite_was_asked(
    words: list[str], told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], interruptible: None
) -> None:
    over, main_thread = threading.Event(), threading.main_thread().ident
    assert main_thread is not None

    def interrupt(talking: socket.socket) -> None:
        signal.pthread_kill(main_thread, signal.SIGINT)
        over.wait()

    with asked(tmp_path, interrupt) as options:
        assert main([*words, *options]) == 130
        over.set()
    lines = capsys.readouterr().err.splitlines()
    asked_already = f"The datasite had been asked already. {console.MAY_BE_DONE}"
    assert lines == ([asked_already] if told else []) + ["Stopped."]


def test_where_nothing_listens_the_datasite_is_not_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "token": "t"}))
    assert main([*APPROVE, "--as", str(file)]) == 1
    assert "The datasite is not running" in capsys.readouterr().err


def test_a_token_file_that_may_not_be_read_is_not_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text("{}")
    (tmp_path / "own.json").chmod(0)
    done = run_shut_out("datasites", [*LIST, "--as", "own.json"], tmp_path)
    assert done.returncode == 1 and "The token file own.json cannot be read (Permission denied)." in done.stderr
