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
    if (state.store / config.dataset.name / "manifest.json").exists():
        return
    path = config.dataset.data_path
    if not path:
        raise ConfigError(
            f"Datasite '{config.name}' has no pictures yet. Give --data_path: a folder with a subfolder per class, "
            "or an .npz file."
        )
    if not Path(path).exists():
        raise ConfigError(f"No pictures at {path} for datasite '{config.name}'. Give an existing path.")


def ingest_pictures(state: StateFolder, config: DatasiteConfig) -> StoreManifest:
    """Returns the dataset's manifest, after reading the pictures if that was not done before.

    Raises:
        ConfigError: There are no pictures at the configured path.
        DataError: The pictures cannot be read, or are too few to publish.
    """
    folder = state.store / config.dataset.name
    if (folder / "manifest.json").exists():
        return open_store(folder).manifest
    check_data(state, config)
    dataset = config.dataset
    source = read_source(
        Path(dataset.data_path),
        site=dataset.site or None,
        classes=dataset.class_names or None,
        image_size=dataset.size if any(dataset.size) else None,
        channels=dataset.channels or None,
        reports=dataset.text is not None,
    )
    return ingest(
        source,
        folder,
        name=dataset.name,
        unit=dataset.unit,
        public_size=dataset.public_size or None,
        min_public_size=config.limits.min_public_size,
        text=dataset.text,
    )
