"""The options --state and --name, which say which datasite a command is about. For the hospital's own terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli.commands import Chosen
from policies.errors import ConfigError
from policies.terminal.commands import path

if TYPE_CHECKING:
    from pathlib import Path

    from datasites.files.state_folder import StateFolder


def chosen_state(chosen: Chosen, *, must_exist: bool = True) -> StateFolder:
    """The state folder that --state or --name means.

    Raises:
        ConfigError: Neither was given, or both; or there is no datasite.
    """

    from datasites.files.state_folder import StateFolder

    if chosen.state is not None and chosen.name:
        raise ConfigError("Say which datasite by --state or by --name. Leave out one of the two.")
    if chosen.state is None and not chosen.name:
        raise ConfigError("Say which datasite: --name hospital_a, or --state with its state folder.")
    state = StateFolder(chosen.state or path("state") / (chosen.name or ""))
    try:
        exists = state.config.exists()
    except PermissionError as error:
        raise ConfigError(
            f"The state folder {state.path} is closed to this account{_owned(state.path)}. Run the command as whom it "
            "belongs to."
        ) from error
    if must_exist and not exists:
        raise ConfigError(f"No datasite at {state.path}. Run 'python -m datasites init' or launch_datasites.py first.")
    return state


def _owned(folder: Path) -> str:
    """Whose a folder is, in words; nothing where that cannot be seen."""
    try:
        return f": it is {folder.owner()}'s"
    except (OSError, KeyError):  # it lies in a closed folder, or its account is gone
        return ""
