"""`python -m datasites`: its commands. What it prints is for the hospital's own people."""

from __future__ import annotations

from collections.abc import Sequence

import click

from datasites.cli import (
    audit,
    budget,
    dataset,
    ledger,
    preparation,
    requests,
    researchers,
    serving,
    staff,
    upkeep,
)
from datasites.cli.commands import HospitalCommands
from datasites.cli.deciding import elsewhere, rules
from datasites.cli.machine import installing, upgrading
from policies.terminal.commands import run
from policies.terminal.entry import INTERRUPTED
from policies.terminal.printing import say, show_everything
from policies.terminal.version_option import version_option

DESCRIPTION = "The hospital's commands. What they print is for the hospital's own people."
PARTS = (
    *(preparation, dataset, serving, installing, requests, elsewhere, rules, budget, researchers, staff, ledger),
    *(upkeep, upgrading, audit),
)
"""Each adds its own commands; `--help` and the reference list them in this order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status, 130 where a person stopped it."""
    show_everything()
    try:
        return run(make_program(), arguments, private=True)
    except (KeyboardInterrupt, click.exceptions.Abort):  # while it worked, or asked something
        say("Stopped.", to_errors=True)
        return INTERRUPTED


def make_program() -> HospitalCommands:
    """The program with every command."""
    program = HospitalCommands("python -m datasites", DESCRIPTION)
    program.params.append(version_option(_state))
    for part in PARTS:
        part.add_commands(program)
    return program


def _state() -> str:
    from datasites.state.version import STATE_VERSION

    return f"state {STATE_VERSION}"
