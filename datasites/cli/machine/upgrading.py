"""Command `upgrade`: an older state folder becomes one of this program's version. It prints paths of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli.commands import Chosen, HospitalCommands, tell
from datasites.cli.state_option import chosen_state
from policies.terminal.commands import option, path

if TYPE_CHECKING:
    from pathlib import Path


def upgrade(chosen: Chosen, *, backup: Path) -> None:
    """Brings a stopped datasite to this program's version, after a backup; where that fails, it is as it was."""
    from datasites.state.upgrading.upgrade import upgrade

    state = chosen_state(chosen)
    done = upgrade(state, backup)
    values = {
        "before": done.before,
        "now": done.now,
        "backup": str(done.backup),
        "ledger_entries": done.entries,
        "resumed": done.resumed,
    }
    told = f"{state.path} was of version {done.before} and now is of {done.now}."
    if done.resumed:
        told = f"An upgrade of {state.path} had been interrupted and is finished; it is of version {done.now}."
    elif done.before == done.now:
        told = f"{state.path} has version {done.now} already; nothing was migrated."
    backed_up = f"The backup before that, for the program that wrote it: {done.backup}"
    if done.resumed or done.before == done.now:
        backed_up = f"A backup of it as it is: {done.backup}"
    tell(chosen, values, told, f"Its books hold and agree; the ledger has {done.entries} entries.", backed_up)


def add_commands(commands: HospitalCommands) -> None:
    """Adds this command to the program."""
    where = option("--backup", "where to back up to before", kind=path, value="FOLDER", required=True)
    commands.add("upgrade", upgrade, where)
