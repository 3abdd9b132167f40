"""Commands about the hospital's own people: `staff add`, `remove`, `role`, `reset`, `list`. They print no token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier, tell
from policies.terminal.commands import argument, option


def add_staff(chosen: Chosen, *, person: str, role: str) -> None:
    """Makes an account for one of the hospital's people; a role above auditor takes as many people as requests do."""
    answer = console.call(chosen, "POST", "/staff", {"name": person, "role": role})
    is_now = f"{person} is {role}." if answer["in_force"] else _proposed(answer)
    tell(chosen, answer, f"{is_now} Hand over this file by a safe way, then delete it: {answer['file']}")


def remove_staff(chosen: Chosen, *, person: str) -> None:
    """Ends the account of one of the hospital's people at once."""
    answer = console.call(chosen, "POST", f"/staff/{person}/remove")
    tell(chosen, answer, f"{person} has no account any more.")


def change_role(chosen: Chosen, *, person: str, role: str) -> None:
    """Gives one of the hospital's people another role; one that may do more takes as many people as requests do."""
    answer = console.call(chosen, "POST", f"/staff/{person}/role", {"role": role})
    if answer["in_force"]:
        return tell(chosen, answer, f"{person} is {role} from now on, and signs in anew.")
    tell(chosen, answer, _proposed(answer))
    return None


def reset_staff(chosen: Chosen, *, person: str) -> None:
    """Takes the token, password and second factor of a person away and makes a new file to hand over.

    Where requests take several people, a reviewer or admin is an auditor until as many admins have confirmed the role.
    """
    answer = console.call(chosen, "POST", f"/staff/{person}/reset")
    is_now = f"{person} begins anew, and is signed out everywhere."
    role = "" if answer["in_force"] else f" {_proposed(answer)}"
    tell(chosen, answer, f"{is_now}{role} Hand over this file by a safe way: {answer['file']}")


def list_staff(chosen: Chosen) -> None:
    """Lists the hospital's people with their roles."""
    from datasites.console.shown.tables import staff_table

    console.show(chosen, console.call(chosen, "GET", "/staff"), staff_table)


def _proposed(answer: Mapping[str, Any]) -> str:
    person, role, given, needed = answer["name"], answer["role"], len(answer["people"]), answer["people_needed"]
    confirm = f"python -m datasites staff role {person} --role {role} --as FILE"
    return f"{person} becomes {role} when admins confirm it with '{confirm}' ({given} of {needed})."


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
