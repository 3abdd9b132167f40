"""A source that is described in a file of its own: its table [dataset], as `inspect` prints it."""

from __future__ import annotations

from pathlib import Path

from datasites.files.toml_file import read_toml
from datasites.sources.dataset_settings import DatasetSettings
from policies.errors import ConfigError


def settings_in(file: Path) -> DatasetSettings:
    """The settings of a file's table [dataset]; paths in it begin at the file's folder.

    Raises:
        ConfigError: It cannot be read, holds something else, or a setting is wrong.
    """
    values = read_toml(file)
    if set(values) != {"dataset"} or not isinstance(values["dataset"], dict):
        raise ConfigError(
            "It must hold a table [dataset] and nothing else, as 'python -m datasites inspect' prints it."
        )
    return DatasetSettings.from_dict(values["dataset"]).beside(file.parent)
