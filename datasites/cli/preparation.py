"""Commands before a datasite serves: `init`, `inspect`, `ingest`, `features`. What they print is the hospital's."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from datasites.cli.commands import Chosen, HospitalCommands, tell
from datasites.cli.state_option import chosen_state
from datasites.ingestion.reasons import ACCEPTABLE
from policies.errors import ConfigError
from policies.terminal.commands import argument, option, option_of, path, switch
from policies.terminal.printing import say, say_json

_TOLD_EVERY = 200
_SETTINGS_FILE = "settings to begin with, such as the table that inspect prints; paths in it begin at its folder"

if TYPE_CHECKING:
    from pathlib import Path


def init(chosen: Chosen, *, settings_file: Path | None, **settings: Any) -> None:
    """Writes config.toml and the identity of a new datasite."""
    from datasites.files.state_folder import StateFolder
    from datasites.prepare import check_data, new_config, write_config

    if not chosen.name:
        raise ConfigError("Give the new datasite a name: --name hospital_a.")
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    if "data_path" in given:
        given["data_path"] = str(path(given["data_path"]).resolve())
    config = new_config(chosen.name, settings_file, given)
    state = StateFolder(chosen.state or path("state") / chosen.name)
    if state.config.exists():
        raise ConfigError(f"{state.config} exists already. Edit it, or choose another --state.")
    check_data(state, config)
    write_config(state, config)
    told = f"Datasite '{config.name}' is described in {state.config}: read it, set its limits, then ingest and serve."
    tell(chosen, {"name": config.name, "config": str(state.config)}, told)


def practice_dicom(chosen: Chosen, *, folder: Path) -> None:
    """Writes drawn DICOM files with a table of labels, to practise on: no patient is in them."""
    from datasites.assets.drawn.practice_dicom import write_practice_dicom

    count, table = write_practice_dicom(folder)
    export = folder / "export"
    told = f"{export} holds {count} DICOM files, {table} what was found in each study. They are drawn."
    tell(chosen, {"export": str(export), "files": count, "table": str(table)}, told)


def inspect(chosen: Chosen, *, path: str, table: Path | None, site: str | None) -> None:
    """Looks at pictures and changes nothing: what is there, what would be left out, which settings would take it."""
    from dataclasses import asdict
    from pathlib import Path

    from datasites.sources.dataset_settings import DatasetSettings, is_named
    from datasites.sources.inspection.inspection import inspect_source
    from datasites.sources.inspection.shown import show
    from policies.terminal.rich_terminal import PlainConsole

    where = path if is_named(path) else str(Path(path).resolve())
    settings = DatasetSettings(data_path=where, site=site or "", table="" if table is None else str(table.resolve()))
    with PlainConsole(stderr=True).status("Looking ...") as status:

        def watch(done: int) -> None:
            if done % _TOLD_EVERY == 0:
                status.update(f"Looking: {done:,} files")

        found = inspect_source(settings, watch)
    if chosen.json:
        say_json(asdict(found), indent=2)
    else:
        show(found, PlainConsole())


def ingest(chosen: Chosen, *, processes: int | None, hold_out: Path | None, accept: tuple[str, ...], yes: bool) -> None:
    """Reads the pictures into the store, or goes on where an earlier try has stopped."""
    from datasites.config import DatasiteConfig
    from datasites.prepare import IngestOptions, ingest_pictures
    from datasites.state.version import check_version

    os.umask(0o077)
    state = chosen_state(chosen)
    check_version(state.path)
    compared = "" if hold_out is None else str(hold_out)
    config = DatasiteConfig.from_toml(state.config)
    agreed = partial(_agreed, yes, config.dataset.names_classes)
    options = IngestOptions(processes, frozenset(accept), compared, agreed=agreed)
    try:
        manifest = ingest_pictures(state, config, options)
    except KeyboardInterrupt:
        say("Nothing more was published. The same command goes on: what was read is kept.", to_errors=True)
        raise
    height, width, channels = manifest.image_shape
    tell(
        chosen,
        {
            "dataset": manifest.name,
            "pictures": manifest.num_pictures,
            "units": manifest.num_units,
            "unit": manifest.unit,
            "public_size": manifest.public_size,
            "classes": list(manifest.class_names),
        },
        f"Dataset '{manifest.name}': {manifest.num_pictures} pictures of {height}x{width}x{channels} in "
        f"{len(manifest.class_names)} classes, {manifest.num_units} units ({manifest.unit})"
        f"{f', with reports of up to {manifest.text.length} words' if manifest.text else ''}.",
        f"Researchers will see a public size of {manifest.public_size}, and these classes:",
        ", ".join(manifest.class_names),
    )


def _agreed(yes: bool, named: bool) -> bool:
    """Whether the names that were told may be published; asked where a person can answer.

    Guarantees:
        A name that only the data gives becomes public when somebody has said so: at the question, by --yes, or by
        writing it into the settings (`named`).
    """
    if yes or not sys.stdin.isatty():
        return yes or named
    return click.confirm("Publish under these names?", err=True)


def features(
    chosen: Chosen,
    *,
    backbone: str,
    weights: Path | None,
    weights_sha256: str | None,
    input_size: int | None,
    normalisation: str | None,
) -> None:
    """Computes features of the dataset's pictures once, by a public network or by scattering, for studies of a head."""
    from datasites.assets.dataset_version import newest_version
    from datasites.assets.features import compute_features
    from datasites.config import DatasiteConfig
    from datasites.state.kept_books import open_audit
    from datasites.state.version import check_version
    from policies.plans import features as known

    os.umask(0o077)
    state = chosen_state(chosen)
    check_version(state.path)
    version = newest_version(state.store, DatasiteConfig.from_toml(state.config).dataset.name)
    if backbone == known.SCATTERING_BACKBONE:
        if any(one is not None for one in (weights, weights_sha256, normalisation)):
            raise ConfigError(
                "Scattering has no weights and one normalisation. Leave out --weights, --weights_sha256 and "
                "--normalisation."
            )
        size = known.SCATTERING_SIZE if input_size is None else input_size
        kept = known.ScatteringSpec(size, version.manifest.image_shape[2])
        folder = compute_features(version.folder, kept)
        open_audit(state).write("features computed", features=kept.key, weights="")
        options: dict[str, str | int | float | bool] = {} if size == known.SCATTERING_SIZE else {"size": size}
        model, told = known.SCATTERING_MODEL, "Runs without augmentation read them where researchers give"
    else:
        if weights is None or weights_sha256 is None:
            raise ConfigError(f"Features of {backbone!r} need its public weights: give --weights and --weights_sha256.")
        size = 224 if input_size is None else input_size
        spec = known.FeatureSpec(backbone, weights_sha256, size, normalisation or "imagenet")
        folder = compute_features(version.folder, spec, weights)
        open_audit(state).write("features computed", features=spec.key, weights=spec.weights_sha256)
        options, model, told = dict(spec.options), known.FEATURES_MODEL, "Researchers name them with"
    words = " ".join([f"--model {model}", *(f"--model_option {name}={value}" for name, value in options.items())])
    tell(chosen, {"folder": str(folder), "model": model, "options": options}, f"{folder} holds them. {told}: {words}")


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("init", init, later=_settings)
    commands.add("practice-dicom", practice_dicom, argument("folder", "is made, with the files in it", kind=path))
    commands.add(
        "inspect",
        inspect,
        argument("path", "a folder, a table, an .npz file, a DICOMDIR, or medmnist:NAME"),
        option("--table", "a table that names the folder's pictures", kind=path, value="FILE"),
        option("--site", "which hospital's, where there are several"),
    )
    commands.add(
        "ingest",
        ingest,
        option("--processes", "that read pictures at once; one for each core if not given", kind=int),
        option("--hold_out", "pictures that models are measured on: none of them is to be in the dataset", kind=path),
        option("--accept", "take what stops the ingest for this reason", choices=ACCEPTABLE, repeated=True),
        switch(
            "--yes",
            "publish under the names that are told; else a terminal asks, and a script stops unless class_names is set",
        ),
    )
    commands.add("features", features, later=_features)


def _settings() -> list[click.Parameter]:
    """Options of the settings that a new datasite is mostly told; the others are written into its config.toml."""
    from datasites import first_settings as first

    return [
        option_of(first.PORT),
        option_of(first.DATA_PATH),
        option_of(first.SITE),
        option_of(first.DATASET, "--dataset"),
        option_of(first.UNIT),
        option_of(first.RESEARCHERS, "--researcher", name="researchers", value="EMAIL", repeated=True),
        option("--settings", _SETTINGS_FILE, name="settings_file", kind=path, value="FILE"),
    ]


def _features() -> list[click.Parameter]:
    from policies.plans.features import BACKBONES, NORMALISATIONS, SCATTERING_BACKBONE

    networks = "the network, as timm names it; or scattering, which needs no weights"
    made_with = "of pictures, as the weights were made with; imagenet if not given"
    return [
        option("--backbone", networks, choices=sorted((*BACKBONES, SCATTERING_BACKBONE)), required=True),
        option("--weights", "its public weights", kind=path, value="FILE"),
        option("--weights_sha256", "of that file, as its publisher states", value="HEX"),
        option("--input_size", "side that pictures are resized to; 224, of scattering 32, if not given", kind=int),
        option("--normalisation", made_with, choices=sorted(NORMALISATIONS)),
    ]
