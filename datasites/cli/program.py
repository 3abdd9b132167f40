"""`python -m datasites`: its parser, and how a command ends. What it prints is for the hospital's own people."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from datasites.cli import audit, budget, ledger, preparation, requests, researchers, runs, serving, staff, upkeep
from datasites.cli.commands import Commands
from policies.errors import WanwuError
from policies.terminal.printing import say_error, show_everything

DESCRIPTION = "The hospital's commands. What they print is for the hospital's own people."
PARTS = (preparation, serving, requests, budget, runs, researchers, staff, ledger, upkeep, audit)
"""Each adds its own commands; `--help` and the reference list them in this order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    show_everything()
    options = make_parser().parse_args(arguments)
    try:
        options.command(options)
    except WanwuError as error:
        say_error(error, private=True)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The program's parser, with every command."""
    parser = argparse.ArgumentParser(prog="python -m datasites", description=DESCRIPTION)
    commands = Commands.of(parser)
    for part in PARTS:
        part.add_commands(commands)
    return parser
