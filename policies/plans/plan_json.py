"""Plans as canonical JSON and back: equal plans give equal text, and what does not read exactly is refused by name."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from policies.errors import PlanError

PLAN_VERSION = 1
MAX_CHARACTERS = 20_000
"""Of a plan's text, without the graphs of an own model and an own loss, which have bounds of their own."""
_MOST_WITH_A_GRAPH = 600_000
# Metadata of a field that came after plans were stored and approved. It is left out of a plan's text where it holds its
# default, so that those plans still read, and their text and digest stay what was approved. Its default never changes.
ADDED_LATER = {"added_later": True}
# Key in the metadata of a field that is too long to read: what people are told of its value; of an empty one nothing.
TOLD = "told"
_T = TypeVar("_T")


def dump(kind: str, plan: Any) -> str:
    """Canonical JSON of a plan: sorted keys, no spaces, its kind and version beside its fields."""
    return canonical_json({"kind": kind, "version": PLAN_VERSION, **plain(plan)})


def load(text: str, kinds: Mapping[str, type[_T]]) -> _T:
    """Reads a plan of one of these kinds back.

    Args:
        text: What `dump` wrote.
        kinds: Kind → dataclass.

    Raises:
        PlanError: Not JSON, another kind or version, an unknown or missing field, a value out of range.
    """
    import json  # late, as hashlib below: a help reads what plans declare, and no plan

    if len(text) > _MOST_WITH_A_GRAPH:
        raise _too_long(len(text))
    try:
        values = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError, TypeError) as error:
        raise PlanError("A plan must be a JSON object as its to_json() writes it.") from error
    if not isinstance(values, dict):
        raise PlanError(f"A plan must be a JSON object, got {type(values).__name__}.")
    if (own := len(text) - _characters_of_graphs(values)) > MAX_CHARACTERS:
        raise _too_long(own)
    kind, version = values.pop("kind", None), values.pop("version", None)
    if not isinstance(kind, str) or kind not in kinds or version != PLAN_VERSION:
        raise PlanError(f"Expected a plan of kind {' or '.join(kinds)} and version {PLAN_VERSION}.")
    return typing.cast(_T, _build(kinds[kind], values, ""))


def settings(plan: Any) -> dict[str, Any]:
    """A plan's text as plain values, with every setting that the text leaves out: for people to read."""
    return {"kind": plan.kind, "version": PLAN_VERSION, **plain(plan, everything=True)}


def plain(value: Any, *, everything: bool = False) -> Any:
    """A declared value as its text holds it: without fields that came later and hold their default.

    Args:
        value: A plan or a part of one.
        everything: Whether these fields are told all the same, and what is too long to read in short: for people.
    """
    if is_dataclass(value):
        if everything:
            return _for_people(value)
        kept = [f for f in fields(value) if not _is_left_out(f, getattr(value, f.name))]
        return {f.name: plain(getattr(value, f.name)) for f in kept}
    if isinstance(value, Mapping):
        return {str(key): plain(item, everything=everything) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item, everything=everything) for item in value]
    return value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses NaN and infinities."""
    import json

    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def sha256_text(text: str) -> str:
    """SHA-256 of UTF-8 text, in hexadecimal."""
    import hashlib  # late: it loads OpenSSL, which what only declares plans does not need

    return hashlib.sha256(text.encode()).hexdigest()


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise PlanError("A plan may name each field once only; one comes twice.")
    return values


def _refuse_constant(constant: str) -> float:
    raise PlanError(f"A plan may not hold {constant}; every number must be finite.")


def _for_people(value: Any) -> Mapping[str, object]:
    """All fields of a declared value; of one that is too long to read, what is told in its place."""
    found: dict[str, object] = {}
    for one in fields(value):
        own = getattr(value, one.name)
        if TOLD not in one.metadata:
            found[one.name] = plain(own, everything=True)
        elif own:
            found[one.name] = one.metadata[TOLD](own)
    return found


def _characters_of_graphs(values: Mapping[str, Any]) -> int:
    """How long the graphs of an own model and an own loss are in a plan's values, where they are there at all."""
    found = 0
    for part, name in (("model", "graph"), ("objective", "loss_graph")):
        held = values.get(part)
        graph = held.get(name) if isinstance(held, Mapping) else None
        found += len(graph) if isinstance(graph, str) else 0
    return found


def _too_long(characters: int) -> PlanError:
    return PlanError(f"A plan has at most {MAX_CHARACTERS} characters, this one has {characters}.")


def _is_left_out(field: Field[Any], value: Any) -> bool:
    return "added_later" in field.metadata and value == field.default


def _build(cls: type, values: Any, where: str) -> Any:
    """Builds the dataclass `cls` from a dict, refusing unknown and missing fields by name."""
    if not isinstance(values, dict):
        raise PlanError(f"{where or 'plan'} must be a JSON object, got {type(values).__name__}.")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    if unknown := sorted(set(values) - known):
        raise PlanError(f"Unknown field {where}{unknown[0]!r} in the plan; known are {', '.join(sorted(known))}.")
    needed = {f.name for f in fields(cls) if "added_later" not in f.metadata}
    if missing := sorted(needed - set(values)):
        raise PlanError(f"Missing field {where}{missing[0]!r} in the plan.")
    built = {}
    for key, value in values.items():
        nested = [t for t in (hints[key], *typing.get_args(hints[key])) if is_dataclass(t)]
        optional = type(None) in typing.get_args(hints[key])
        if nested and not (optional and value is None):
            value = _build(typing.cast(type, nested[0]), value, f"{where}{key}.")
        built[key] = value
    return cls(**built)
