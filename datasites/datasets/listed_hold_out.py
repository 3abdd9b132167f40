"""The hold-out that a dataset is compared with at its ingest: a fault of it is told as its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from datasites.sources.settings_file import settings_in
from policies.errors import ConfigError, DataError


def listed_hold_out(path: Path, dataset: DatasetSettings) -> Listing:
    """What models are measured on, listed by a file of its own or else by the dataset's settings.

    Raises:
        ConfigError, DataError: As `list_pictures`; each says that it is of the hold-out.
    """
    is_described = path.suffix.lower() == ".toml"
    try:
        if is_described:
            return list_pictures(settings_in(path))
        return list_pictures(replace(dataset, data_path=str(path), site="", table="", kind="auto"))
    except (ConfigError, DataError) as error:
        where = (
            "that file's own" if is_described else "a TOML file's that describes the hold-out: give it as --hold_out"
        )
        raise type(error)(
            f"The hold-out (--hold_out {path}), not the dataset, cannot be listed: {error.public} Mend it in the "
            f"hold-out; a table [dataset] is {where}.",
            private=error.private,
        ) from error
