"""The command `serve`, with the log that it writes instead of the terminal, and `console`, which opens the pages.

The log and the file that a browser is given stay in the hospital.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.errors import WanwuError
from policies.terminal.commands import switch
from policies.terminal.printing import say, say_error, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def serve(chosen: Chosen, *, stop_with_stdin: bool) -> None:
    """Serves the datasite until it is told to stop."""
    import threading

    os.umask(0o077)
    state = chosen_state(chosen)
    from datasites.config import DatasiteConfig
    from datasites.installation.service_manager import tell_service_manager
    from datasites.prepare import stored_pictures
    from datasites.pysyft.server import refuse_dev_mode
    from datasites.server import RunningDatasite
    from datasites.state.lock import hold
    from datasites.state.version import check_version
    from datasites.web.listening import listen

    config = DatasiteConfig.from_toml(state.config)
    refuse_dev_mode()
    check_version(state.path)
    listen(config.host, config.port, chosen_by=f"port in {state.config}").close()
    hold(state)
    stored_pictures(state, config)
    log = state.logs / "datasite.log"
    with _failures_told(log):
        terminal = log_to(log, config.max_log_bytes)
        if stop_with_stdin:
            threading.Thread(target=wait_for_stdin, daemon=True).start()
        datasite = RunningDatasite(state, config)

        def ready() -> None:
            print(f"ready {config.url}", file=terminal, flush=True)
            tell_service_manager("READY=1")

        datasite.serve(ready=ready)
        terminal.flush()
    os._exit(0)  # all is closed and on disk; taking PySyft's modules apart would take another three seconds


def open_console(chosen: Chosen, *, no_browser: bool) -> None:
    """Opens the console's pages in a browser, once, for whoever the token is of."""
    address = console.call(chosen, "POST", "/link")["address"]
    if chosen.json:
        say_json({"address": address}, indent=2)
        return
    if not no_browser and _opened(chosen, address):
        say("The console opens in your browser. If it does not, open this address within a minute:")
    else:
        say("Open this address within a minute:")
    say(address)


def _opened(chosen: Chosen, address: str) -> bool:
    """Whether a browser was told. It is told a private file, since all of a machine's people see a command line."""
    import html
    import webbrowser

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    from datasites.files.private_file import write_private

    file = console.token_file(chosen).resolve().with_suffix(".html")
    target = html.escape(address)
    write_private(
        file,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Console</title>'
        f'<meta http-equiv="refresh" content="0;url={target}"><a href="{target}">Open the console</a></html>',
    )
    return webbrowser.open(file.as_uri())


def wait_for_stdin() -> None:
    """Waits until standard input closes, then asks this process to stop."""
    import signal

    while os.read(0, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _failures_told(log: Path) -> Iterator[None]:
    """Tells what ends the datasite in one line to standard error as it was before the log took it, too.

    Guarantees:
        The line holds the public text alone: what is private stays in the log, whoever reads the terminal or journal.
    """
    errors = os.fdopen(os.dup(2), "w", errors="backslashreplace")
    try:
        yield
    except (Exception, SystemExit) as error:
        with contextlib.suppress(OSError), contextlib.redirect_stderr(errors):
            if isinstance(error, WanwuError):
                say_error(error)
            else:
                say(f"The datasite ended by an error that was not expected. It stands in {log}.", to_errors=True)
        raise


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
    """Adds these commands to the program."""
    told = "stop when standard input closes (used by launch_datasites.py)"
    commands.add("serve", serve, switch("--stop_with_stdin", told), tells=False)
    commands.add("console", open_console, switch("--no-browser", "print the address alone"))
