"""`python -m researcher`: its parser, and how a command ends. No command sees a private row."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from policies.errors import WanwuError
from policies.terminal.printing import say, say_error, show_everything
from researcher.cli import counts, demo, hospitals, receipts, studies
from researcher.cli.commands import Commands

DESCRIPTION = "The researcher's commands."
PARTS = (hospitals, studies, receipts, counts, demo)
"""Each adds its own commands; `--help` and the reference list them in this order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    show_everything()
    options = make_parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"(syft|opacus|requests)\..*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a datasite that is out of reach is told once, by us
    try:
        options.command(options)
    except WanwuError as error:
        say_error(error)
        return 1
    except KeyboardInterrupt:
        say("Interrupted. What was reached is saved; run the command again to go on.", to_errors=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The program's parser, with every command."""
    parser = argparse.ArgumentParser(prog="python -m researcher", description=DESCRIPTION)
    commands = Commands.of(parser)
    for part in PARTS:
        part.add_commands(commands)
    return parser
