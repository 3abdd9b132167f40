"""Answers to the options of a study: its settings, its statement, and how long it waits for hospitals."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from policies.errors import ConfigError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import RunSpec, ServerSpec
from policies.plans.words.statement import STATEMENT, Statement
from policies.settings import declared, file
from policies.terminal.commands import refuse_together
from researcher.cli.setting_options import STATEMENT_VARIABLE, WAITING
from researcher.planning.settings import StudySettings
from researcher.planning.statement_file import read_statement
from researcher.studies.retry_policy import RetryPolicy

COST = ("epsilon", "noise_multiplier", "max_grad_norm", "delta", "repetitions")
"""Settings of a private plan alone."""


def study_settings_of(options: Mapping[str, Any]) -> StudySettings:
    """What the options of a study's plan ask for.

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


def taken_from(options: MutableMapping[str, Any]) -> Statement | None:
    """The statement that a command's options make; they are taken out of `options`.

    Raises:
        ConfigError: The file is not one.
        PlanError: A text is too long or not plain.
    """
    given = {name: options.pop(name) for name in (STATEMENT.name, *declared(Statement))}
    own = os.environ.get(STATEMENT_VARIABLE)
    words = given.pop(STATEMENT.name) or (file(own) if own else None)
    return read_statement(words, _said(given))


def _said(given: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in given.items() if text is not None}


def retry_policy_of(options: MutableMapping[str, Any]) -> RetryPolicy:
    """What the options of waiting ask for; they are taken out."""
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
