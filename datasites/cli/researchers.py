"""Commands about researchers: `enrol`, `revoke`, `researchers`. A credentials file is all that is handed to one."""

from __future__ import annotations

import argparse

from datasites.cli import console
from datasites.cli.commands import Commands
from policies.terminal.printing import say


def enrol(options: argparse.Namespace) -> None:
    """Gives a researcher an account and a certificate; again, a new certificate."""
    answer = console.call(options, "POST", "/researchers", {"email": options.email})
    say(f"{options.email} is enrolled. Hand over this file, and only this one, on a safe way: {answer['file']}")


def revoke(options: argparse.Namespace) -> None:
    """Ends a researcher's access at once, open connections included."""
    console.call(options, "POST", "/researchers/revoke", {"email": options.email})
    say(f"{options.email} has no access any more. Approved studies stay reserved until you end them.")


def researchers(options: argparse.Namespace) -> None:
    """Lists researchers and until when their certificates are valid."""
    from datasites.console.tables import researcher_table

    console.show(options, console.call(options, "GET", "/researchers"), researcher_table)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("enrol", enrol).add_argument("email", help="the researcher's address")
    commands.add("revoke", revoke).add_argument("email", help="the researcher's address")
    commands.add("researchers", researchers)
