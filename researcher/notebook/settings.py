"""The settings of a plan as keywords: the one declaration of each, told apart by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from policies.errors import ConfigError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import RunSpec, ServerSpec
from policies.plans.words.statement import Statement, statement_of
from policies.settings import declared
from researcher.planning.settings import StudySettings

_OF_STUDY = tuple(name for name in declared(StudySettings) if name != "statement")
_PARTS = {"run": RunSpec, "server": ServerSpec, "objective": ObjectiveSpec, "statement": Statement}
_OF_PART = {part: tuple(declared(kind)) for part, kind in _PARTS.items()}
NAMES = ("dataset", "options", *_PARTS, *_OF_STUDY, *(name for names in _OF_PART.values() for name in names))

_DEFAULTS = {name: one.default for kind in (StudySettings, *_PARTS.values()) for name, one in declared(kind).items()}
SIGNATURE = (
    Parameter("self", Parameter.POSITIONAL_OR_KEYWORD),
    *(Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name)) for name in NAMES),
)
"""What `Federation.plan` takes, with the defaults that hold where nothing is given."""


def settings_of(given: Mapping[str, Any]) -> StudySettings:
    """The settings that keywords ask for.

    Raises:
        ConfigError: There is no such setting, one is given in two ways, or it contradicts the recipe.
        PlanError: A value is out of range.
    """
    for name in given:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"A plan has no setting {name!r}.{hint} It has {', '.join(NAMES)}.")
    own = {name: value for name, value in given.items() if name in (*_OF_STUDY, "options")}
    parts = {part: {name: given[name] for name in names if name in given} for part, names in _OF_PART.items()}
    for part, its in parts.items():
        if part in given and its:
            raise ConfigError(
                f"{part} and {next(iter(its))} are both given, and one is a part of the other. Leave out one."
            )
    if given.get("noise_multiplier") is not None and "epsilon" in given:
        raise ConfigError("noise_multiplier and epsilon are both given, and one follows from the other. Leave out one.")
    run = given.get("run") or RunSpec(**parts["run"])
    server = given.get("server") or ServerSpec(**parts["server"])
    objective = given.get("objective") or ObjectiveSpec(**parts["objective"])
    said = given.get("statement") or statement_of(parts["statement"])
    return StudySettings(**own, run=run, server=server, objective=objective, statement=said)
