"""Commands about the hospital's own people: `staff add`, `remove`, `role`, `reset`, `list`. They print no token."""

from __future__ import annotations

import click

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier, tell
from policies.terminal.commands import argument, option


def add_staff(chosen: Chosen, *, person: str, role: str) -> None:
    """Makes an account for one of the hospital's people."""
    answer = console.call(chosen, "POST", "/staff", {"name": person, "role": role})
    told = f"{person} is {role}. Hand over this file on a safe way, then delete it: {answer['file']}"
    tell(chosen, {"name": person, "role": role, **answer}, told)


def remove_staff(chosen: Chosen, *, person: str) -> None:
    """Ends the account of one of the hospital's people at once."""
    answer = console.call(chosen, "POST", f"/staff/{person}/remove")
    tell(chosen, answer, f"{person} has no account any more.")


def change_role(chosen: Chosen, *, person: str, role: str) -> None:
    """Gives one of the hospital's people another role; one that may do more takes as many people as requests do."""
    answer = console.call(chosen, "POST", f"/staff/{person}/role", {"role": role})
    if answer["in_force"]:
        return tell(chosen, answer, f"{person} is {role} from now on, and signs in anew.")
    given, needed = len(answer["people"]), answer["people_needed"]
    tell(chosen, answer, f"Proposed: {person} becomes {role} when further admins say the same ({given} of {needed}).")
    return None


def reset_staff(chosen: Chosen, *, person: str) -> None:
    """Takes the token, password and second factor of a person away and makes a new file to hand over."""
    answer = console.call(chosen, "POST", f"/staff/{person}/reset")
    told = f"{person} begins anew, and is signed out everywhere. Hand over this file on a safe way: {answer['file']}"
    tell(chosen, {"name": person, **answer}, told)


def list_staff(chosen: Chosen) -> None:
    """Lists the hospital's people with their roles."""
    from datasites.console.shown.tables import staff_table

    console.show(chosen, console.call(chosen, "GET", "/staff"), staff_table)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    staff = commands.within("staff", "The hospital's people: admins, reviewers, auditors.")
    person = argument("person", "name, as decisions and receipts state it", kind=identifier("person"))
    staff.add("add", add_staff, person, later=_role)
    staff.add("remove", remove_staff, person)
    staff.add("role", change_role, person, later=_role)
    staff.add("reset", reset_staff, person)
    staff.add("list", list_staff)


def _role() -> list[click.Parameter]:
    from datasites.access.people import ROLES

    return [option("--role", "what the person may do", choices=ROLES, required=True)]
