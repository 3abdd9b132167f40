"""The commands about decisions that other hospitals shared: `elsewhere add`, `list` and `remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, tell
from policies.errors import ConfigError
from policies.terminal.commands import argument, path
from policies.untrusted_text import shown

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES = 65_536  # the datasite says what is too long


def add(chosen: Chosen, *, file: Path) -> None:
    """Adds a decision that another hospital shared; requests with exactly that plan show it on their cards."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read. Name a file that 'record --share' wrote.") from error
    added = console.call(chosen, "POST", "/elsewhere", {"text": text})
    tell(
        chosen,
        added,
        f"{shown(added['hospital'])} {added['decision']} on {added['decided_on']}, signature verified.",
        f"Ask that hospital whether its key is {added['fingerprint']}: from now on its name stays with that key.",
    )


def hospitals(chosen: Chosen) -> None:
    """Lists the hospitals whose decisions are kept, and the key that each name stays with."""
    from datasites.console.shown.tables import elsewhere_table

    console.show(chosen, console.call(chosen, "GET", "/elsewhere"), elsewhere_table)


def remove(chosen: Chosen, *, fingerprint: str) -> None:
    """Removes all decisions of a hospital, by its key's fingerprint; its name may come with another key again."""
    gone = console.call(chosen, "POST", "/elsewhere/remove", {"key": fingerprint})
    tell(chosen, gone, f"Decisions of {shown(gone['hospital'])} removed: {gone['decisions']}.")


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    elsewhere = commands.within("elsewhere", "Decisions that other hospitals shared, signed.")
    elsewhere.add("add", add, argument("file", "file that another hospital's 'record --share' wrote", kind=path))
    elsewhere.add("list", hospitals)
    elsewhere.add("remove", remove, argument("fingerprint", "the key's fingerprint, as 'elsewhere list' shows it"))
