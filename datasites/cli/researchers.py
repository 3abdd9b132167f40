"""Commands about researchers: `enrol`, `revoke`, `researchers`. A credentials file is all that is handed to one."""

from __future__ import annotations

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, tell
from policies.terminal.commands import argument


def enrol(chosen: Chosen, *, email: str) -> None:
    """Gives a researcher an account and a certificate; again, a new certificate."""
    answer = console.call(chosen, "POST", "/researchers", {"email": email})
    told = f"{email} is enrolled. Hand over this file, and only this one, by a safe way: {answer['file']}"
    tell(chosen, {"email": email, **answer}, told)


def revoke(chosen: Chosen, *, email: str) -> None:
    """Ends a researcher's access at once, open connections included."""
    answer = console.call(chosen, "POST", "/researchers/revoke", {"email": email})
    told = f"{email} has no access any more. Approved studies stay reserved until you end them."
    tell(chosen, {"email": email, **answer}, told)


def researchers(chosen: Chosen) -> None:
    """Lists researchers and until when their certificates are valid."""
    from datasites.console.shown.tables import researcher_table

    console.show(chosen, console.call(chosen, "GET", "/researchers"), researcher_table)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    email = argument("email", "the researcher's address")
    commands.add("enrol", enrol, email)
    commands.add("revoke", revoke, email)
    commands.add("researchers", researchers)
