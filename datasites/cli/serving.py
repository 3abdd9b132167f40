"""The command `serve`, and the log that it writes instead of the terminal. The log stays in the state folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.terminal.commands import switch

if TYPE_CHECKING:
    from pathlib import Path


def serve(chosen: Chosen, *, stop_with_stdin: bool) -> None:
    """Serves the datasite until it is told to stop."""
    import threading

    os.umask(0o077)
    state = chosen_state(chosen)
    from datasites.config import DatasiteConfig
    from datasites.prepare import stored_pictures
    from datasites.pysyft.server import refuse_dev_mode
    from datasites.server import RunningDatasite
    from datasites.state.lock import hold
    from datasites.state.version import check_version
    from datasites.web.listening import listen

    config = DatasiteConfig.from_toml(state.config)
    refuse_dev_mode()
    check_version(state.path)
    listen(config.host, config.port).close()
    hold(state)
    stored_pictures(state, config)
    terminal = log_to(state.logs / "datasite.log", config.max_log_bytes)
    if stop_with_stdin:
        threading.Thread(target=wait_for_stdin, daemon=True).start()
    datasite = RunningDatasite(state, config)
    datasite.serve(ready=lambda: print(f"ready {config.url}", file=terminal, flush=True))
    terminal.flush()
    os._exit(0)  # all is closed and on disk; taking PySyft's modules apart would take another three seconds


def wait_for_stdin() -> None:
    """Waits until standard input closes, then asks this process to stop."""
    import signal

    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def log_to(file: Path, most_bytes: int) -> TextIO:
    """Sends the log and both outputs to the hospital's log file; returns the terminal, for the `ready` line."""
    import logging

    from datasites.files.log_file import BoundedHandler
    from datasites.files.log_lines import LineFormatter

    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    terminal = os.fdopen(os.dup(1), "w")
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    handler = BoundedHandler(file, most_bytes)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("datasites").setLevel(logging.INFO)  # also after PySyft has set the root logger's level
    for noisy in ("httpx", "syft", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return terminal


def add_commands(commands: HospitalCommands) -> None:
    """Adds this command to the program."""
    told = "stop when standard input closes (used by launch_datasites.py)"
    commands.add("serve", serve, switch("--stop_with_stdin", told), tells=False)
