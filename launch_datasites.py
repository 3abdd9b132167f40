"""Starts hospital datasites and stops them together.

    python launch_datasites.py
        three demo hospitals with drawn blood cells
    python launch_datasites.py --data_path FOLDER_OR_NPZ
        one datasite for each hospital found in the data
    python launch_datasites.py --config hospitals.toml
        the hospitals described there
    python launch_datasites.py --name hospital_a --port 8081 --data_path DIR
        one hospital, its own pictures

Each datasite is a process of its own with a state folder of its own. Started again over existing state, it finds its
settings, datasets, accounts and approvals as they were: its own config.toml counts, which no launch writes again.
Ctrl-C, SIGTERM or the end of the terminal stops them all. One that ends by itself leaves the others running: what it
was and how its log ends is printed, and the exit status is 1 in the end.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from policies.terminal.entry import before_anything, without_environment

try:
    import click

    from datasites import first_settings as first
    from policies.errors import ConfigError, WanwuError
    from policies.terminal.commands import Command, option, option_of, path, run, switch
    from policies.terminal.printing import say, say_error, show_everything
    from policies.terminal.version_option import version_option
except KeyboardInterrupt:
    sys.exit(before_anything())
except ModuleNotFoundError as missing:
    sys.exit(without_environment(missing))

if TYPE_CHECKING:
    from types import FrameType

    from datasites.datasite_process import DatasiteProcess


class _Stop(Exception):
    """A signal asked for the end."""


def main() -> int:
    """Starts what the arguments name, waits for the end, stops it all; returns the exit status."""
    try:
        show_everything()
        return run(make_program(), None)
    except KeyboardInterrupt:  # once datasites are to be started, a stop is no interrupt any more
        return before_anything()


def launch(**given: object) -> int:
    """Starts hospital datasites and stops them together."""
    from datasites.datasite_process import DatasiteProcess, stop, wait_for_the_last, wait_until_ready

    _at_a_stop(_raise_stop)
    if given["stop_with_stdin"]:
        from datasites.cli.serving import wait_for_stdin

        threading.Thread(target=wait_for_stdin, daemon=True).start()
    started: list[DatasiteProcess] = []
    ended: list[ConfigError] = []

    def lost(error: ConfigError) -> None:
        ended.append(error)
        say_error(error, private=True)
        if left := len(started) - len(ended):
            say(f"{left} of {len(started)} datasites go on.", to_errors=True)

    try:
        from datasites.launching.wanted import Wanted, described, made_ready, started_as_they_are

        wanted = Wanted(**given)  # type: ignore[arg-type]
        configs = started_as_they_are(wanted, described(wanted))
        states = made_ready(configs, wanted.state)
        for config, state in zip(configs, states, strict=True):
            started.append(DatasiteProcess.start(config, state))
        ready = wait_until_ready(started, lost)
        if ready:
            _print_overview(ready, of=len(started))
        wait_for_the_last(ready, lost)
    except _Stop:
        say("Stopping ...")
    except WanwuError as error:
        say_error(error)  # before the others are stopped, which takes a while
        return 1
    finally:
        _at_a_stop(signal.SIG_IGN)
        stop(started)
    return 1 if ended else 0


def _print_overview(started: Sequence[DatasiteProcess], *, of: int) -> None:
    from policies.terminal.rich_terminal import PlainConsole, PlainTable

    table = PlainTable("datasite", "address", "dataset")
    for one in started:
        table.add_row(one.config.name, one.config.url, one.config.dataset.name)
    console = PlainConsole()
    console.print(table)
    console.print("To hand to researchers, to each one file of these folders (mode 0600):")
    for one in started:
        console.print(f"  {one.state.credentials}/", soft_wrap=True)
    console.print(
        "Hospital's side:    python -m datasites requests --state", f"{started[0].state.path}", soft_wrap=True
    )
    ready = "All datasites are" if len(started) == of else f"{len(started)} of {of} datasites are"
    console.print(f"{ready} ready. Ctrl-C stops them.")
    sys.stdout.flush()


def _at_a_stop(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    """Sets what happens when somebody asks for the end. With nohup, closing the terminal is none."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def _raise_stop(number: int, frame: object) -> NoReturn:
    raise _Stop


def make_program() -> Command:
    """The program: one command."""
    program = Command(
        "python launch_datasites.py",
        launch,
        option("--config", "hospitals.toml: a table for each hospital", kind=path, value="FILE"),
        option("--name", "start one hospital of this name"),
        option("--image_size", "resize a folder's pictures to this square", kind=int, value="PIXELS"),
        option("--state", "folder of the state folders", kind=path, default="state"),
        switch("--stop_with_stdin", "stop when standard input closes (used by the demo)"),
        later=_settings,
    )
    program.params.append(version_option(_state))
    program.help = (__doc__ or "").replace("\n\n    python", "\n\n\b\n    python")  # lines that are not wrapped
    return program


def _state() -> str:
    from datasites.state.version import STATE_VERSION

    return f"state {STATE_VERSION}"


def _settings() -> list[click.Parameter]:
    """Options that are settings of a hospital."""
    return [
        option_of(first.PORT, more=", and the next ones for further hospitals"),
        option_of(first.DATA_PATH, kind=path, value="PATH"),
        option_of(first.RESEARCHERS, "--researcher", name="researchers", value="EMAIL", repeated=True),
    ]


if __name__ == "__main__":
    sys.exit(main())
