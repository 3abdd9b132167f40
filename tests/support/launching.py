"""launch_datasites.py as a process of its own, as an operator starts it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.hospitals import ENVIRONMENT, PROJECT
from support.waiting import CEILING_SECONDS

Start = Callable[..., subprocess.Popen[str]]
LAUNCH = PROJECT / "launch_datasites.py"


@contextmanager
def launching() -> Iterator[Start]:
    """Starts launch_datasites.py; what is left running at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(LAUNCH), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ENVIRONMENT, "COLUMNS": "160"},
            start_new_session=True,
        )
        started.append(process)
        return process

    try:
        yield begin
    finally:
        for process in started:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def read_until_ready(process: subprocess.Popen[str]) -> str:
    return read_until(process, "All datasites are ready")


def read_until(process: subprocess.Popen[str], begins: str) -> str:
    """What a launcher prints to its first line that begins so; fails with all of it where it ends without one."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(begins):
            return "".join(lines)
    raise AssertionError("".join(lines))


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Sends a launcher a signal; returns its exit status."""
    assert process.stdout
    process.send_signal(number)
    status = process.wait(timeout=CEILING_SECONDS)
    process.stdout.close()
    return status
