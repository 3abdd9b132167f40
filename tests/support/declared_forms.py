"""What plans and answers declare, field by field, as plain values: what a release promises that later ones keep."""

from __future__ import annotations

import importlib
import json
import pkgutil
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import policies.answers
from policies.contracts.inputs import Ticket
from policies.ledger.receipt import Receipt
from policies.plans.kinds import KINDS

FORMS = "forms.json"
REQUIRED = "required"
Form = dict[str, dict[str, str]]


def plans() -> dict[str, type]:
    """Every declared type that a plan is made of, by name."""
    return {kind.__name__: kind for top in KINDS.values() for kind in _within(top)}


def answers() -> dict[str, type]:
    """Every declared type that an answer is made of, likewise."""
    found: dict[str, type] = {}
    for one in pkgutil.iter_modules(policies.answers.__path__):
        module = importlib.import_module(f"policies.answers.{one.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and is_dataclass(kind) and kind.__name__.endswith("Answer"):
                found |= {inner.__name__: inner for inner in _within(kind)}
    return found


def signed() -> dict[str, type]:
    """What is read exactly: tickets and receipts."""
    return {kind.__name__: kind for top in (Ticket, Receipt) for kind in _within(top)}


PARTS = {"plans": plans, "answers": answers, "signed": signed}


def form(kind: type) -> dict[str, list[str]]:
    """Field → its declared type and its default."""
    return {one.name: [str(one.type), default_of(one)] for one in fields(kind)}


def default_of(one: Field[Any]) -> str:
    """A field's default, as it is written."""
    if one.default_factory is not MISSING:
        return repr(one.default_factory())
    return REQUIRED if one.default is MISSING else repr(one.default)


def write_forms(folder: Path) -> None:
    values = {part: {name: form(kind) for name, kind in sorted(kinds().items())} for part, kinds in PARTS.items()}
    (folder / FORMS).write_text(json.dumps(values, indent=1) + "\n")


def _within(kind: type) -> Iterator[type]:
    """A declared type and those in its fields."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for inner in _classes(hint):
            yield from _within(inner)


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
    for inner in typing.get_args(hint):
        yield from _classes(inner)
