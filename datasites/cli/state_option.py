"""The options --state and --name, which say which datasite a command is about. For the hospital's own terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli.commands import Chosen
from policies.errors import ConfigError
from policies.terminal.commands import path

if TYPE_CHECKING:
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
    if must_exist and not state.config.exists():
        raise ConfigError(f"No datasite at {state.path}. Run 'python -m datasites init' or launch_datasites.py first.")
    return state
