"""A datasite as a process of its own: started, waited for until it is ready, ended. It tells its address, no more."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError

READY_SECONDS = 120.0
STOP_SECONDS = 20.0
LAST_LINES = 5
_LAST_BYTES = 8192
_PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class DatasiteProcess:
    """One datasite that was started. It stops when this process, which holds its standard input, is gone."""

    config: DatasiteConfig
    state: StateFolder
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, config: DatasiteConfig, state: StateFolder) -> Self:
        """Starts the datasite of a state folder, whose config.toml says `config`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "datasites", "serve", "--stop_with_stdin", "--state", str(state.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": str(_PROJECT)},
            start_new_session=True,
        )
        return cls(config, state, process)

    def ended_too_early(self) -> ConfigError:
        """Why it is not ready, in the datasite's own words where it wrote any."""
        text = self.process.stderr.read().decode(errors="replace")  # type: ignore[union-attr]
        said = [line for line in text.splitlines() if line.startswith("WW")]
        reason = said[-1] if said else f"look at {self._log}"
        return ConfigError(
            f"Datasite '{self.config.name}' did not start: {reason.removeprefix(f'{ConfigError.code}: ')}"
        )

    def ended_by_itself(self) -> ConfigError:
        """How it ended, with the last lines of its log in the private text."""
        lines = _end_of(self._log).splitlines()[-LAST_LINES:]
        return ConfigError(
            f"Datasite '{self.config.name}' ended by itself, {_how(self.process.poll())}. The end of {self._log}:",
            private="\n".join(lines) or "(nothing)",
        )

    @property
    def _log(self) -> Path:
        return self.state.logs / "datasite.log"


def wait_until_ready(started: Sequence[DatasiteProcess], lost: Callable[[ConfigError], None]) -> list[DatasiteProcess]:
    """Waits until every datasite has said that it is ready, or has ended instead.

    Args:
        started: Those that start.
        lost: Told of each that has ended, and why.

    Returns:
        Those that are ready.

    Raises:
        ConfigError: One said nothing in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    waiting = {one.process.stdout: one for one in started}
    ready = []
    with selectors.DefaultSelector() as selector:
        for stream in waiting:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting:
            told = selector.select(timeout=max(deadline - time.monotonic(), 0))
            if not told:
                names = ", ".join(one.config.name for one in waiting.values())
                raise ConfigError(
                    f"Not ready within {READY_SECONDS:g} seconds: {names}. Look at logs/ in its state folder."
                )
            for key, _ in told:
                one = waiting.pop(key.fileobj)  # type: ignore[call-overload]
                selector.unregister(key.fileobj)
                if key.fileobj.readline().startswith(b"ready"):  # type: ignore[union-attr]
                    ready.append(one)
                else:
                    lost(one.ended_too_early())
    return [one for one in started if one in ready]


def wait_for_the_last(running: Sequence[DatasiteProcess], lost: Callable[[ConfigError], None]) -> None:
    """Waits as long as one of them runs; none is stopped because another one ended.

    Args:
        running: Datasites that are ready.
        lost: Told of each that has ended by itself, once, and why.
    """
    left = list(running)
    while left:
        for one in [one for one in left if one.process.poll() is not None]:
            left.remove(one)
            lost(one.ended_by_itself())
        time.sleep(0.3)


def stop(started: Sequence[DatasiteProcess]) -> None:
    """Ends every datasite that was started: asks first, insists after a while."""
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
    for one in started:
        try:
            one.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def _how(status: int | None) -> str:
    """What a process's exit status says of its end."""
    if status is None or status >= 0:
        return f"with status {status}"
    cause = ", as the system ends a process where memory is full" if -status == signal.SIGKILL else ""
    return f"by {signal.Signals(-status).name}{cause}"


def _end_of(log: Path) -> str:
    """The last lines of a log that may be long; nothing if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        return file.read().decode(errors="replace")
