"""The command `simulate`: a study at made-up hospitals that share the researcher's own data. Asks no hospital."""

from __future__ import annotations

from typing import Any

import click

from policies.terminal.commands import option, option_of, path, switch
from researcher.cli.commands import GOES_ON, ResearcherCommands, backbone_weights

DATA = "what the hospitals share: a folder, a table, an .npz file, or a .toml that describes it"
TEST = "test data of the same classes; without it a share of the data is held back"


def simulate(**given: Any) -> None:
    """Runs a study at made-up hospitals that share one data set, on this machine's cores or a Ray cluster. Its noise
    follows from a seed and protects nobody: for public data alone.
    """
    from researcher.simulation.apart import Aside

    # What makes the plan imports torch while this process imports what it needs, and reads the data.
    with Aside("researcher.simulation.work", "datasites.training.models") as aside:
        from researcher.cli.trials.simulated_study import run

        run(**given, aside=aside)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "simulate",
        simulate,
        option("--data", DATA, kind=path, required=True),
        option("--test", TEST, kind=path),
        option("--out", "folder of the simulation", kind=path, default="out/simulation"),
        backbone_weights(),
        switch("--in_process", "one hospital after the other, without Ray"),
        later=_settings_options,
        interrupted=GOES_ON,
    )


def _settings_options() -> list[click.Parameter]:
    """The options of a simulation and of its study's plan; None, or empty, unless given."""
    from researcher.cli.setting_options import study_options
    from researcher.planning import declared_settings

    of_study = [one for one in study_options() if one.name != "dataset"]
    return [*map(option_of, declared_settings.SIMULATION), *of_study]
