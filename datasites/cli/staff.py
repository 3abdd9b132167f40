"""Commands about the hospital's own people: `staff add`, `staff remove`, `staff list`. They print no token."""

from __future__ import annotations

import argparse

from datasites.access.staff import ROLES
from datasites.cli import console
from datasites.cli.commands import Commands
from policies.terminal.printing import say


def add_staff(options: argparse.Namespace) -> None:
    """Makes an account for one of the hospital's people."""
    answer = console.call(options, "POST", "/staff", {"name": options.person, "role": options.role})
    say(f"{options.person} is {options.role}. Hand over this file on a safe way, then delete it: {answer['file']}")


def remove_staff(options: argparse.Namespace) -> None:
    """Ends the account of one of the hospital's people at once."""
    console.call(options, "POST", f"/staff/{console.called('person', options.person)}/remove")
    say(f"{options.person} has no account any more.")


def list_staff(options: argparse.Namespace) -> None:
    """Lists the hospital's people with their roles."""
    from datasites.console.tables import staff_table

    console.show(options, console.call(options, "GET", "/staff"), staff_table)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    staff = commands.group("staff", "The hospital's people: admins, reviewers, auditors.")
    new = staff.add("add", add_staff)
    new.add_argument("person", help="name, as decisions and receipts will state it")
    new.add_argument("--role", required=True, choices=ROLES, help="what the person may do")
    staff.add("remove", remove_staff).add_argument("person")
    staff.add("list", list_staff)
