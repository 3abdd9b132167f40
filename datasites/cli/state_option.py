"""Which datasite a command is about: its --state or --name. For the hospital's own terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError


def chosen_state(options: argparse.Namespace, *, must_exist: bool = True) -> StateFolder:
    """The state folder that --state or --name means.

    Raises:
        ConfigError: Neither was given, or there is no datasite.
    """
    if options.state is None and not options.name:
        raise ConfigError("Say which datasite: --name hospital_a, or --state with its state folder.")
    state = StateFolder(options.state or Path("state") / options.name)
    if must_exist and not state.config.exists():
        raise ConfigError(f"No datasite at {state.path}. Run 'python -m datasites init' or launch_datasites.py first.")
    return state
