"""A datasite as a process of its own: started, waited for until it is ready, ended. It tells its address, no more."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError

READY_SECONDS = 120.0
STOP_SECONDS = 20.0
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

    def ended_too_early(self) -> NoReturn:
        """Says why it is not ready, in the datasite's own words where it wrote any.

        Raises:
            ConfigError: Always.
        """
        text = self.process.stderr.read().decode(errors="replace")  # type: ignore[union-attr]
        log = self.state.logs / "datasite.log"
        if log.exists():
            text += log.read_text(errors="replace")
        said = [line for line in text.splitlines() if line.startswith("WW")]
        reason = said[-1] if said else f"look at {log}"
        raise ConfigError(f"Datasite '{self.config.name}' did not start: {reason}")


def wait_until_ready(started: Sequence[DatasiteProcess]) -> None:
    """Returns when every datasite has said that it is ready.

    Raises:
        ConfigError: One ended instead, or none of them did in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    waiting = {one.process.stdout: one for one in started}
    with selectors.DefaultSelector() as selector:
        for stream in waiting:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
        while waiting:
            ready = selector.select(timeout=max(deadline - time.monotonic(), 0))
            if not ready:
                names = ", ".join(one.config.name for one in waiting.values())
                raise ConfigError(
                    f"Not ready within {READY_SECONDS:g} seconds: {names}. Look at logs/ in its state folder."
                )
            for key, _ in ready:
                one = waiting[key.fileobj]  # type: ignore[index]
                if not key.fileobj.readline().startswith(b"ready"):  # type: ignore[union-attr]
                    one.ended_too_early()
                selector.unregister(key.fileobj)
                del waiting[key.fileobj]  # type: ignore[arg-type]


def wait_for_an_end(started: Sequence[DatasiteProcess]) -> NoReturn:
    """Waits as long as all of them run.

    Raises:
        ConfigError: One has ended by itself.
    """
    while True:
        for one in started:
            if one.process.poll() is not None:
                raise ConfigError(
                    f"Datasite '{one.config.name}' ended by itself; the others are stopped too. Look at "
                    f"{one.state.logs / 'datasite.log'}."
                )
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
