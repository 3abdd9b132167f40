"""A plan's settings and the versions in use as rows of a table; both are public."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from policies.plans import plan_json
from policies.plans.server.server_spec import WITHOUT
from policies.plans.training import ServerSpec, TrainingPlan
from researcher.reports import wording


def of_plan(plan: TrainingPlan) -> list[tuple[str, str]]:
    """Every field of the plan that could be otherwise, but its name: (path of the field, value).

    What its strategy, labels or unit do not read has one value only, the one that changes nothing, and is left out.
    """
    values = plan_json.settings(plan)
    for path in (("kind",), ("version",), ("study",), *_unread(plan)):
        *groups, field = path
        del functools.reduce(operator.getitem, groups, values)[field]
    return [(_label(path), text) for path, text in _leaves(values, ())]


def _unread(plan: TrainingPlan) -> set[tuple[str, ...]]:
    """Paths of the fields for which the plan would refuse any other value."""
    without = set(WITHOUT.get(plan.server.strategy, ()))
    of_server = {one.name for one in fields(ServerSpec)}
    server, own = of_server - {"strategy", *plan.server.read} | of_server & without, without - of_server
    if plan.augmentation == "none":
        own.add("augmentation_multiplicity")
    if plan.privacy is None or plan.privacy.unit != "patient":
        own.add("pictures_per_patient")
    if plan.model.label_kind == "multi":
        objective = {"label_smoothing", "class_weights"}
    else:
        objective = {"present_weights", *(["label_smoothing"] if plan.objective.loss == "ordinal" else [])}
    groups = {"server": server, "objective": objective}
    return {(one,) for one in own} | {(group, one) for group, names in groups.items() for one in names}


def of_hosts(versions: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    """`components`, sorted, and a row for each set of hosts with the same versions of them."""
    components = sorted({name for found in versions.values() for name in found})
    rows: dict[tuple[str, ...], list[str]] = {}
    for host, found in versions.items():
        rows.setdefault(tuple(found.get(name, "–") for name in components), []).append(host)
    return {
        "components": components,
        "versions": [{"host": ", ".join(hosts), "found": found} for found, hosts in rows.items()],
    }


def _label(path: tuple[str, ...]) -> str:
    """The path as words; a group's name that a field's own name begins with is said once."""
    *groups, field = path
    return " ".join([*(group for group in groups if not field.startswith(f"{group}_")), field]).replace("_", " ")


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Plain fields first, then the nested ones, each sorted by name."""
    if isinstance(value, dict):
        for key in sorted(value, key=lambda key: (isinstance(value[key], dict), key)):
            yield from _leaves(value[key], (*path, key))
    elif isinstance(value, list):
        yield path, (" × " if path[-1] == "image_shape" else ", ").join(map(str, value)) or "none"
    elif value is None or isinstance(value, bool):
        yield path, {None: "none", True: "yes", False: "no"}[value]
    else:
        yield path, wording.number(value) if isinstance(value, float) else str(value)
