"""State folders beside one another: a hospital of a trial that has one does not begin a second under a new name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasites.files.state_folder import StateFolder
from datasites.files.toml_file import read_toml
from policies.errors import ConfigError


def kept_names(states: Path, hospitals: Sequence[str], names: Sequence[str]) -> list[str]:
    """The name of each hospital's datasite: that of the state folder which it has, else the one proposed.

    Guarantees:
        A hospital that has a state folder beside the others, whatever that is called, gets no second one: with it would
        begin a second ledger, and a second budget for the same pictures. It never gets another hospital's.

    Args:
        states: The folder of the state folders.
        hospitals: Each one's site in the pictures.
        names: What each one's datasite would be called.

    Raises:
        ConfigError: A hospital has two state folders, or the one that it would get is another hospital's; or a
            config.toml cannot be read, so that nobody can tell whose its folder is.
    """
    sites = {file.parent.name: _site(read_toml(file)) for file in sorted(states.glob("*/config.toml"))}
    return [_kept(StateFolder(states / name), hospital, sites) for hospital, name in zip(hospitals, names, strict=True)]


def _kept(proposed: StateFolder, hospital: str, sites: Mapping[str, str]) -> str:
    own = [folder for folder, site in sites.items() if site == _one_form(hospital)]
    if len(own) > 1:
        raise ConfigError(
            f"The hospital {hospital} has {len(own)} state folders in {proposed.path.parent}: {', '.join(own)}, each "
            "with a ledger of its own. Move all but the one that researchers used to another place."
        )
    if not own and sites.get(proposed.name):
        raise ConfigError(
            f"The hospital {hospital} would get the state folder {proposed.path}, which is of {sites[proposed.name]}. "
            "Give one of the two another name in the pictures, or start this trial with another --state."
        )
    return own[0] if own else proposed.name


def _site(values: Mapping[str, object]) -> str:
    """Which of several hospitals a config.toml is of; empty where it does not say, as one hospital's own does not."""
    dataset = values.get("dataset")
    site = dataset.get("site") if isinstance(dataset, Mapping) else values.get("site")
    return _one_form(site) if isinstance(site, str) else ""


def _one_form(name: str) -> str:
    """A name as all systems write it, as the sources' own sites are compared."""
    return unicodedata.normalize("NFC", name)
