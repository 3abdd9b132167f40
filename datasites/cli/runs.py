"""Commands about runs: `runs`, `cancel`. They show states and public reasons, nothing of a run's pictures."""

from __future__ import annotations

import argparse

from datasites.cli import console
from datasites.cli.commands import Commands
from policies.terminal.printing import say


def runs(options: argparse.Namespace) -> None:
    """Lists runs."""
    from datasites.console.tables import run_table

    console.show(options, console.call(options, "GET", "/runs"), run_table)


def cancel(options: argparse.Namespace) -> None:
    """Cancels a run. One that has started stays charged, and its round is not run again."""
    run = console.call(options, "POST", f"/runs/{console.called('run', options.run)}/cancel")
    say(f"Run {run['id']} is {run['state']}.")


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("runs", runs)
    commands.add("cancel", cancel).add_argument("run", help="identifier of the run")
