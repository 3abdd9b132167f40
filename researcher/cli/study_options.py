"""The options that say what a study shall be, made from the settings themselves; the hospitals' limits decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

import click

from policies.errors import ConfigError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import RunSpec, ServerSpec
from policies.plans.words.statement import STATEMENT
from policies.settings import declared
from policies.terminal.commands import option, option_of, refuse_together, switch
from researcher.cli.commands import model_option
from researcher.cli.statement_options import statement_options, taken_from
from researcher.planning.settings import StudySettings
from researcher.studies.retry_policy import RetryPolicy

COST = ("epsilon", "noise_multiplier", "max_grad_norm", "delta", "repetitions")
"""Settings of a private plan alone."""
WAITING = ("round_deadline", "round_deadline_factor", "grace_seconds")
"""Settings of the retry policy that have an option."""


def settings_options() -> list[click.Parameter]:
    """The options of a study's plan. Each is None, or empty, unless it is given; the setting's own default holds."""
    settings = declared(StudySettings)
    made: list[click.Parameter] = []
    for name, setting in settings.items():
        by_recipe = setting.derived or name == "num_rounds"
        if name == STATEMENT.name:
            made += statement_options()
            continue
        made.append(option_of(setting, more=", or the recipe's" if by_recipe else ""))
        if name == "study":
            made.append(option("--dataset", "name of the dataset, where a hospital publishes several"))
        if name == "model":
            made.append(model_option())
    made += [option_of(setting) for kind in (ObjectiveSpec, ServerSpec, RunSpec) for setting in declared(kind).values()]
    return [*made, switch("--no-dp", "no differential privacy; most hospitals refuse that")]


def study_settings_of(options: Mapping[str, Any]) -> StudySettings:
    """What the options of `settings_options` ask for.

    Raises:
        click.UsageError: Two options contradict each other.
        ConfigError: An option contradicts the recipe, or the statement's file is none.
        PlanError: A value is out of range.
    """
    options = dict(options)
    statement = taken_from(options)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    for name in COST:
        refuse_together({"--no-dp": options["no_dp"], f"--{name}": name in given})
    for name in ("epsilon", "repetitions"):
        refuse_together({"--noise_multiplier": "noise_multiplier" in given, f"--{name}": name in given})
    own = {name: value for name, value in given.items() if name in declared(StudySettings)}
    run, server, objective = (
        {name: value for name, value in given.items() if name in declared(kind)}
        for kind in (RunSpec, ServerSpec, ObjectiveSpec)
    )
    if options["no_dp"]:
        own["epsilon"] = None
    own |= {"run": RunSpec(**run), "server": ServerSpec(**server), "objective": ObjectiveSpec(**objective)}
    own["options"] = dict(options["model_option"])
    return StudySettings(**own, statement=statement)


def waiting_options() -> list[click.Parameter]:
    """The options that say how long a study's rounds wait for hospitals."""
    return [option_of(declared(RetryPolicy)[name]) for name in WAITING]


def retry_policy_of(options: MutableMapping[str, Any]) -> RetryPolicy:
    """What the options of `waiting_options` ask for; they are taken out."""
    given = {name: options.pop(name) for name in WAITING}
    return RetryPolicy(**{name: value for name, value in given.items() if value is not None})


def check_min_clients(min_clients: int, names: Collection[str]) -> None:
    """Refuses what no decision of these hospitals could make enough.

    Raises:
        ConfigError: There are fewer of them than `min_clients`, or that is less than one.
    """
    if not 1 <= min_clients <= len(names):
        raise ConfigError(
            f"min_clients is {min_clients}; it must be from 1 to the number of hospitals, which is {len(names)} "
            f"({', '.join(names)})."
        )


def given_flags(options: Mapping[str, Any]) -> list[str]:
    """Which options of a study's plan were given, as they are written."""
    flags = {"no_dp": "--no-dp"}
    return [
        flags.get(name, f"--{name}")
        for name, value in options.items()
        if value not in (None, ()) and value is not False
    ]
