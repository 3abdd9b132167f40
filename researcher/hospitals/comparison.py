"""Hospitals' datasets side by side: what differs, whether one study can live with it, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from researcher.hospitals.differences import Difference, differences
from researcher.hospitals.hospital import DatasetInfo

# A limit → whether a plan that keeps the least, or the largest, of what hospitals say fits them all.
_STRICTEST = {
    "max_study_epsilon": min,
    "max_researcher_epsilon": min,
    "max_weight_decay": min,
    "max_proximal_mu": min,
    "max_rounds": min,
    "max_steps": min,
    "min_noise_multiplier": max,
    "approvals_needed": max,
}
_RANGES = ("max_grad_norms", "learning_rates", "sample_rates")


@dataclass(frozen=True)
class Compared:
    """One thing that hospitals say differently of datasets of one name.

    Attributes:
        dataset: The dataset's name.
        what: The field of the schema, as in `Difference`; `limits.max_rounds` for a limit.
        values: Datasite → what it says.
        matters: Whether one study at all of them is refused for it.
        means: What follows, in a sentence.
    """

    dataset: str
    what: str
    values: Mapping[str, Any]
    matters: bool
    means: str


def compare(datasets: Sequence[DatasetInfo]) -> tuple[Compared, ...]:
    """What differs between datasets of the same name, that which stops a study first.

    A difference in the reports' form is told as one that does not matter: it does to models that read reports.
    """
    by_name: dict[str, list[DatasetInfo]] = {}
    for one in datasets:
        by_name.setdefault(one.name, []).append(one)
    found = [compared for group in by_name.values() for compared in _of_group(group)]
    if len(by_name) > 1 and len(by_name) == len(datasets):
        found += _without_a_common_name(datasets)
    return tuple(sorted(found, key=lambda one: not one.matters))


def _of_group(group: Sequence[DatasetInfo]) -> list[Compared]:
    first = group[0]
    different: dict[str, Difference] = {}
    for other in group[1:]:
        for one in differences(first, other, with_text=True):
            different.setdefault(one.what, one)
    name = first.name
    found = [
        Compared(name, what, {one.datasite: _said(one, what) for one in group}, what != "text", difference.means)
        for what, difference in different.items()
    ]
    for what, means in (
        ("modality", "The study runs; whether one model suits both kinds of pictures is for you to judge."),
        ("terms_of_use", "The study runs under the terms of each: read them all."),
    ):
        values = {one.datasite: getattr(one, what) for one in group}
        if len(set(values.values())) > 1:
            found.append(Compared(name, what, {key: value or "none" for key, value in values.items()}, False, means))
    return found + _of_limits(group)


def _of_limits(group: Sequence[DatasetInfo]) -> list[Compared]:
    """Limits that differ. A plan has to keep the strictest of each, and what the hospital checks is its own."""
    names = [name for name in group[0].limits if all(name in one.limits for one in group)]
    found = []
    for name in names:
        values = {one.datasite: one.limits[name] for one in group}
        listed = list(values.values())
        if all(value == listed[0] for value in listed):
            continue
        found.append(Compared(group[0].name, f"limits.{name}", values, False, _means_of_limit(name, listed)))
    return found


def _means_of_limit(name: str, values: Sequence[Any]) -> str:
    try:
        if name in _STRICTEST:
            return f"A plan that fits all of them keeps to {_STRICTEST[name](values):g}."
        if name in _RANGES:
            low, high = max(value[0] for value in values), min(value[1] for value in values)
            return f"A plan that fits all of them stays within {low:g} to {high:g}."
    except (TypeError, ValueError, LookupError):  # a later version may say it in another form
        pass
    return "The study is checked at each hospital against its own."


def _without_a_common_name(datasets: Sequence[DatasetInfo]) -> list[Compared]:
    values = {one.datasite: one.name for one in datasets}
    if len(values) < 2:
        return []
    means = "One study names one dataset, which every hospital must have. Ask the hospitals to agree on a name."
    return [Compared("", "name", values, True, means)]


def _said(one: DatasetInfo, what: str) -> Any:
    """What a dataset says under a name as `Difference.what` has it."""
    value: Any = one
    for part in what.split("."):
        value = getattr(value, part, None)
    return "none" if value is None else value
