"""Commands before a datasite serves: `init`, `ingest`, `features`. They read pictures, and print sizes only."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state
from datasites.config import DatasiteConfig
from policies.errors import ConfigError
from policies.plans.features import BACKBONES, NORMALISATIONS
from policies.terminal.printing import say


def init(options: argparse.Namespace) -> None:
    """Writes config.toml and the identity of a new datasite."""
    from datasites.prepare import check_data, write_config

    if not options.name:
        raise ConfigError("Give the new datasite a name: --name hospital_a.")
    config = DatasiteConfig(name=options.name, port=options.port)
    given = {
        "data_path": str(Path(options.data_path).resolve()) if options.data_path else None,
        "site": options.site,
        "dataset": options.dataset,
        "unit": options.unit,
        "researchers": tuple(options.researcher) or None,
    }
    config = replace(config, **{key: value for key, value in given.items() if value})
    state = chosen_state(options, must_exist=False)
    if state.config.exists():
        raise ConfigError(f"{state.config} exists already. Edit it, or choose another --state.")
    check_data(state, config)
    write_config(state, config)
    say(f"Datasite '{config.name}' is described in {state.config}: read it, set its limits, then ingest and serve.")


def ingest(options: argparse.Namespace) -> None:
    """Reads the pictures into the store."""
    from datasites.prepare import ingest_pictures

    state = chosen_state(options)
    manifest = ingest_pictures(state, DatasiteConfig.from_toml(state.config))
    height, width, channels = manifest.image_shape
    say(
        f"Dataset '{manifest.name}': {manifest.num_pictures} pictures of {height}x{width}x{channels} in "
        f"{len(manifest.class_names)} classes, {manifest.num_units} units ({manifest.unit})"
        f"{f', with reports of up to {manifest.text.length} words' if manifest.text else ''}. "
        f"Researchers see a public size of {manifest.public_size}."
    )


def features(options: argparse.Namespace) -> None:
    """Computes features of the dataset's pictures with a frozen public network, once, for studies that train a head."""
    from datasites.assets.features import compute_features
    from datasites.state.kept_books import open_audit
    from policies.plans.features import FeatureSpec

    os.umask(0o077)
    state = chosen_state(options)
    spec = FeatureSpec(options.backbone, options.weights_sha256, options.input_size, options.normalisation)
    folder = compute_features(state.store / DatasiteConfig.from_toml(state.config).dataset, spec, options.weights)
    open_audit(state).write("features computed", features=spec.key, weights=spec.weights_sha256)
    told = " ".join(f"--model_option {name}={value}" for name, value in spec.options.items())
    say(f"{folder} holds them. Researchers name them with: --model features {told}")


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    new = commands.add("init", init)
    new.add_argument("--port", type=int, default=8081, help="port for researchers (default 8081)")
    new.add_argument("--data_path", help="folder with a subfolder per class, or an .npz file")
    new.add_argument("--site", default="", help="which hospital's pictures, where data_path holds several")
    new.add_argument("--dataset", default="", help="name of the published dataset")
    new.add_argument("--unit", choices=("picture", "patient"), help="privacy unit (default picture)")
    new.add_argument("--researcher", action="append", default=[], metavar="EMAIL", help="enrol at first start")
    commands.add("ingest", ingest)
    public = commands.add("features", features)
    public.add_argument("--backbone", required=True, choices=sorted(BACKBONES), help="the network, as timm names it")
    public.add_argument("--weights", required=True, type=Path, metavar="FILE", help="its public weights")
    public.add_argument("--weights_sha256", required=True, metavar="HEX", help="of that file, as its publisher states")
    public.add_argument("--input_size", type=int, default=224, help="side that pictures are resized to (default 224)")
    public.add_argument(
        "--normalisation",
        choices=sorted(NORMALISATIONS),
        default="imagenet",
        help="of pictures, as the weights were made with (default imagenet)",
    )
