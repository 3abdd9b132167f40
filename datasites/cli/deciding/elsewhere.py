"""The command about decisions that other hospitals shared: `elsewhere add`."""

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


def add_commands(commands: HospitalCommands) -> None:
    """Adds this command to the program."""
    elsewhere = commands.within("elsewhere", "Decisions that other hospitals shared, signed.")
    elsewhere.add("add", add, argument("file", "file that another hospital's 'record --share' wrote", kind=path))
