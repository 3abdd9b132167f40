"""Needs of a plan: what of it an older hospital does not know. A plan without any is written as the older one reads it.

A field that came later is left out of a plan's text where it holds its default, so that only what differs from it needs
a later release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from policies.errors import VersionMismatch
from policies.versions.releases import Minor, Release, told

_FIELD, _VALUES = "added_in", "values_added_in"


@dataclass(frozen=True)
class Need:
    """One field of a plan, and the first minor version whose hospitals know what it holds."""

    field: str
    minor: Minor


def added_in(minor: Minor) -> dict[str, object]:
    """Metadata of a plan's field that came with a minor version after 0.2. Its default means what plans did before."""
    return {"added_later": True, _FIELD: minor}


def values_added_in(minors: Mapping[object, Minor]) -> dict[str, object]:
    """Metadata of a plan's field of which some values came later.

    Args:
        minors: Value → the minor version that it came with.
    """
    return {_VALUES: dict(minors)}


def needs(plan: Any, where: str = "") -> Iterator[Need]:
    """What of a plan came after 0.2, the first release.

    Args:
        plan: A plan, or a part of one. A kind of plan that came later says so by its class's `kind_added_in`.
        where: What the names of its fields begin with.
    """
    if (whole := getattr(type(plan), "kind_added_in", None)) is not None:
        yield Need(f"{where}kind", whole)
    for one in fields(plan):
        own, name = getattr(plan, one.name), f"{where}{one.name}"
        if _FIELD in one.metadata and own != one.default:
            yield Need(name, one.metadata[_FIELD])
        later = one.metadata.get(_VALUES, {})
        held = own if isinstance(own, tuple) else (own,)
        yield from (Need(name, minor) for value, minor in later.items() if value in held)
        if is_dataclass(own):
            yield from needs(own, f"{name}.")


def check_plan(plan: Any, release: Release, datasite: str) -> None:
    """Returns if a hospital of that release knows all that a plan holds.

    Raises:
        VersionMismatch: Names the datasite, both releases and the field that asks for the newest one.
    """
    newest = max(needs(plan), key=lambda need: need.minor, default=None)
    if newest is not None and newest.minor > release.minor_version:
        needed = told(newest.minor)
        raise VersionMismatch(
            f"Datasite '{datasite}' runs Wanwu {release}, and this plan needs {needed}: {newest.field}. Nothing was "
            f"submitted there. Ask the hospital to update to Wanwu {needed}, or plan without it."
        )
