"""Makes a state folder ready to serve: its config, its identity, and its picture store from the hospital's pictures."""

from __future__ import annotations

from pathlib import Path

from datasites.assets.ingestion import ingest
from datasites.assets.sources import read_source
from datasites.assets.store import StoreManifest, open_store
from datasites.config import DatasiteConfig
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities
from policies.errors import ConfigError


def write_config(state: StateFolder, config: DatasiteConfig) -> None:
    """Writes the state folder's config.toml, and the datasite's identity at the first time."""
    identities.load_or_create(state)
    write_private(state.config, config.to_toml())


def check_data(state: StateFolder, config: DatasiteConfig) -> None:
    """Refuses a config whose pictures are neither ingested yet nor there to ingest.

    Raises:
        ConfigError: With what is missing.
    """
    if (state.store / config.dataset / "manifest.json").exists():
        return
    if not config.data_path:
        raise ConfigError(
            f"Datasite '{config.name}' has no pictures yet. Give --data_path: a folder with a subfolder per class, "
            "or an .npz file."
        )
    if not Path(config.data_path).exists():
        raise ConfigError(f"No pictures at {config.data_path} for datasite '{config.name}'. Give an existing path.")


def ingest_pictures(state: StateFolder, config: DatasiteConfig) -> StoreManifest:
    """Returns the dataset's manifest, after reading the pictures if that was not done before.

    Raises:
        ConfigError: There are no pictures at the configured path.
        DataError: The pictures cannot be read, or are too few to publish.
    """
    folder = state.store / config.dataset
    if (folder / "manifest.json").exists():
        return open_store(folder).manifest
    check_data(state, config)
    source = read_source(
        Path(config.data_path),
        site=config.site or None,
        classes=config.class_names or None,
        image_size=config.image_size if any(config.image_size) else None,
        channels=config.channels or None,
        reports=config.text is not None,
    )
    return ingest(
        source,
        folder,
        name=config.dataset,
        unit=config.unit,
        public_size=config.public_size or None,
        min_public_size=config.limits.min_public_size,
        text=config.text,
    )
