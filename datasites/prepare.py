"""Makes a state folder ready to serve: its config, its identity, and its picture store from the hospital's pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from datasites.assets.dataset_version import newest_version, versions_of
from datasites.assets.store import StoreManifest, open_store
from datasites.config import DatasiteConfig
from datasites.datasets.adding import Ingest
from datasites.datasets.listed_hold_out import listed_hold_out
from datasites.datasets.removal import finish_withdrawals
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.files.toml_file import read_toml
from datasites.ingestion.ingest import Asked
from datasites.ingestion.ingested_before import asked_otherwise
from datasites.ingestion.reader_processes import ReaderProcesses
from datasites.sources.dataset_settings import FLAT, is_named
from datasites.sources.public_names import public_names
from datasites.sources.read_listing import list_pictures
from datasites.state import identity as identities
from datasites.state.pseudonym_secret import pseudonym_secret
from policies.errors import ConfigError
from policies.terminal.printing import say
from policies.terminal.progress import Watched


@dataclass(frozen=True)
class IngestOptions:
    """How an ingest goes, besides what the settings say.

    Attributes:
        processes: How many read pictures at once; None takes one for each core.
        accepted: Codes of `datasites.ingestion.reasons.ACCEPTABLE` whose pictures are taken all the same.
        hold_out: The pictures that models are measured on; empty where they are not to be compared.
        tell: Told each line for the hospital's terminal.
        agreed: Asked, once they were told, whether names may become public; by default they may.
    """

    processes: int | None = None
    accepted: frozenset[str] = frozenset()
    hold_out: str = ""
    tell: Callable[[str], None] = field(default=partial(say, to_errors=True))
    agreed: Callable[[], bool] = lambda: True


def new_config(name: str, file: Path | None, given: Mapping[str, Any]) -> DatasiteConfig:
    """The settings of a new datasite.

    Args:
        name: The datasite's.
        file: Settings to begin with, as in a config.toml; relative paths in it begin at its folder.
        given: What a command line says, which counts before the file; the dataset's settings by their names in `FLAT`.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or out of range.
    """
    config = DatasiteConfig(name)
    if file is not None:
        config = DatasiteConfig.from_dict({**read_toml(file), "name": name}, where=file.name)
        config = replace(config, dataset=config.dataset.beside(file.parent))
    own = {FLAT[one]: value for one, value in given.items() if one in FLAT}
    others = {one: value for one, value in given.items() if one not in FLAT}
    return replace(config, dataset=replace(config.dataset, **own), **others)


def write_config(state: StateFolder, config: DatasiteConfig) -> None:
    """Writes the state folder's config.toml, and the datasite's identity at the first time."""
    identities.load_or_create(state)
    write_private(state.config, config.to_toml())


def check_data(state: StateFolder, config: DatasiteConfig) -> None:
    """Refuses a config whose pictures are neither ingested yet nor there to ingest.

    Raises:
        ConfigError: With what is missing.
    """
    if is_ingested(state, config):
        return
    path = config.dataset.data_path
    if not path:
        raise ConfigError(
            f"Datasite '{config.name}' has no pictures yet. Give --data_path, or --settings with a table "
            "[dataset]; 'python -m datasites inspect PATH' writes one."
        )
    if not is_named(path) and not Path(path).exists():
        where = f" in {state.config}" if state.config.exists() else ""
        raise ConfigError(f"No pictures at {path} for datasite '{config.name}'. Give an existing path{where}.")


def is_ingested(state: StateFolder, config: DatasiteConfig) -> bool:
    """Whether the dataset that the config names has a store."""
    return bool(versions_of(state.store, config.dataset.name))


def asked_in_vain(state: StateFolder, config: DatasiteConfig) -> list[str]:
    """Which settings differ from those that the dataset was ingested with: they are not read again.

    Args:
        state: Its config.toml still says where the pictures were.
        config: What is asked now.

    Raises:
        StoreBroken: The store is damaged.
    """
    if not is_ingested(state, config):
        return []
    known = DatasiteConfig.from_toml(state.config).dataset if state.config.exists() else config.dataset
    moved = [
        f"{name} ({getattr(known, name)} is there, {getattr(config.dataset, name)} was asked)"
        for name in ("data_path", "site", "table")
        if getattr(known, name) != getattr(config.dataset, name)
    ]
    return moved + asked_otherwise(newest_version(state.store, config.dataset.name).manifest, config.dataset)


def make_ready(state: StateFolder, config: DatasiteConfig) -> None:
    """Writes the config of a new hospital and reads its pictures, saying what of the config counts for nothing.

    Args:
        state: A config.toml that is there stays as it is.
        config: What the hospital is started with.

    Raises:
        StoreBroken: The store is damaged.
    """
    ignored = asked_in_vain(state, config)
    if not state.config.exists():
        write_config(state, config)
    if ignored:
        say(
            f"{config.name}: the dataset '{config.dataset.name}' was ingested before and stays as it is, as does "
            f"[dataset] in {state.config}. Not read again: {'; '.join(ignored)}. To publish other settings, set "
            "another name there; to add new pictures, run 'python -m datasites ingest'."
        )
    if not is_ingested(state, config):
        say(f"Reading the pictures of {config.name} ...")
    stored_pictures(state, config)


def stored_pictures(state: StateFolder, config: DatasiteConfig) -> StoreManifest:
    """Returns the dataset's manifest: of the store that is there, else of one that is made of the pictures now.

    Guarantees:
        Nobody who withdrew is in it: see `finish_withdrawals`.

    Raises:
        StoreBroken: What belongs to the rows of the store is not what was ingested.
        ConfigError, DataError: As `ingest_pictures` and `finish_withdrawals`.
    """
    if not is_ingested(state, config):
        return ingest_pictures(state, config)
    name = config.dataset.name
    store = open_store(newest_version(state.store, name).folder)
    store.check_rows()
    if finish_withdrawals(state, name, least=config.limits.min_public_size) is None:
        return store.manifest
    store = open_store(newest_version(state.store, name).folder)
    store.check_rows()
    return store.manifest


def ingest_pictures(state: StateFolder, config: DatasiteConfig, options: IngestOptions | None = None) -> StoreManifest:
    """Reads the pictures into the store, or what is new of them into the dataset's next version; returns its manifest.

    Raises:
        ConfigError: There are no pictures at the configured path.
        DataError: They cannot be taken, or the settings ask for another dataset; what is there stays as it is.
    """
    options = options or IngestOptions()
    check_data(state, config)
    dataset = config.dataset
    with Watched("Looking at files") as watch:
        listing = list_pictures(dataset, lambda done: watch(done, done))
    hold_out = listed_hold_out(Path(options.hold_out), dataset) if options.hold_out else None
    if not is_ingested(state, config):
        for line in public_names(listing, dataset):
            options.tell(line)
        if not options.agreed():
            raise ConfigError(
                "Nothing was read and nothing is published: nobody has said that these names may be public. Where they "
                "may, give --yes, or set class_names in [dataset]. Else rename the classes."
            )
    with Watched("Reading pictures") as watch:
        asked = Asked(
            dataset,
            pseudonym_secret(state),
            state.ingest_report,
            min_public_size=config.limits.min_public_size,
            accepted=options.accepted,
            hold_out=hold_out,
            tell=options.tell,
            watch=watch,
        )
        processes = options.processes or len(os.sched_getaffinity(0))
        return Ingest(state, asked, partial(ReaderProcesses, processes)).take(listing)
