"""Commands `install` and `uninstall`: a datasite that starts with its machine. They print paths of this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError
from policies.terminal.commands import option, path, switch
from policies.terminal.printing import say

if TYPE_CHECKING:
    from pathlib import Path

    from datasites.installation.installing import Installation
    from datasites.installation.steps import Step

ACCOUNT = "wanwu"
"""That a datasite runs as where no other is named."""


def install(chosen: Chosen, *, account: str, root: Path | None, no_start: bool, dry_run: bool, yes: bool) -> int | None:
    """Makes the datasite a service of systemd, which starts it with the machine. Says what it will do, and asks."""
    made = _installation(chosen, account, root)
    _tell("Files to be written:", made.files)
    _tell("Then:", map(_told, made.steps(start=not no_start)))
    if made.pictures_hidden:
        say(f"The service does not see what is below {made.pictures_hidden}, and so not the pictures.")
        say("Unless they were read, read them first:")
        say(f"  python -m datasites ingest --state {made.service.state}")
    if dry_run:
        for line in made.lines():
            say(line)
        return None
    made.check()
    if not _agreed("Install it?", yes):
        return 1
    made.install(start=not no_start)
    say(f"Written below {root}; nothing was started." if root else f"{made.service.unit} is installed.")
    given = ["--state", str(made.service.state), *(["--account", account] if account != ACCOUNT else [])]
    given += ["--root", str(root.absolute())] if root else []
    say(f"To undo it: python -m datasites uninstall {shlex.join(given)}")
    return None


def uninstall(chosen: Chosen, *, account: str, root: Path | None, dry_run: bool, yes: bool) -> int | None:
    """Takes back what 'install' did. The state folder and the account stay; a file that was changed stays too."""
    made = _installation(chosen, account, root)
    there, (before, after) = made.there(), made.steps_back()
    _tell("First:", map(_told, before))
    _tell("Files to be removed:", there)
    _tell("Then:", map(_told, after))
    if dry_run:
        return None
    if not _agreed("Uninstall it?", yes):
        return 1
    removed, left = made.uninstall()
    say(f"Files removed: {len(removed)}. {made.service.state} and the account {account} are as they were.")
    for file in left:
        say(f"{file} was changed since it was installed, and stays.")
    return int(bool(left))


def _installation(chosen: Chosen, account: str, root: Path | None) -> Installation:
    from datasites.installation.installing import Installation

    return Installation.of(chosen_state(chosen), account, root)


def _told(step: Step) -> str:
    return f"{' '.join(step.command) or 'chown'}: {step.told}"


def _tell(heading: str, lines: Iterable[object]) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            say(heading)
        say(f"  {line}")


def _agreed(question: str, yes: bool) -> bool:
    """Whether somebody said yes, at the terminal or by the option.

    Raises:
        ConfigError: There is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("Nobody is there to be asked. Look at it with --dry_run, then give --yes.")
    if click.confirm(question, err=True):
        return True
    say("Nothing was done.")
    return False


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    shared = (
        option("--account", "account that the datasite runs as", default=ACCOUNT),
        option("--root", "write for the file system below this folder, and start nothing", kind=path, value="FOLDER"),
        switch("--dry_run", "only say what would be done; of 'install' with every file's lines"),
        switch("--yes", "do it without asking"),
    )
    start = switch("--no_start", "with the machine only, not now")
    commands.add("install", install, *shared, start, tells=False)
    commands.add("uninstall", uninstall, *shared, tells=False)
