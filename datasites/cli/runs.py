"""Commands about runs: `runs`, `cancel`. They show states and public reasons, nothing of a run's pictures."""

from __future__ import annotations

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from policies.terminal.commands import argument
from policies.terminal.printing import say


def runs(chosen: Chosen) -> None:
    """Lists runs."""
    from datasites.console.tables import run_table

    console.show(chosen, console.call(chosen, "GET", "/runs"), run_table)


def cancel(chosen: Chosen, *, run: str) -> None:
    """Cancels a run. One that has started stays charged, and its round is not run again."""
    left = console.call(chosen, "POST", f"/runs/{console.called('run', run)}/cancel")
    say(f"Run {left['id']} is {left['state']}.")


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("runs", runs)
    commands.add("cancel", cancel, argument("run", "identifier of the run"))
