"""Changes of a dataset's limits: before, after, whether one allows more, what it means. They stay in the hospital."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from policies.errors import ConfigError
from policies.validate import as_people_write

if TYPE_CHECKING:  # a command reads what changed, and no plan that limits are held against
    from policies.budget.limits import DatasetLimits


@dataclass(frozen=True)
class LimitChange:
    """One limit that changes.

    Attributes:
        name: As `limits --set` takes it.
        before: Its value, as JSON.
        after: Its new value, likewise.
        allows_more: Whether something may run, or be known of a patient, that might not before.
        means: What that is, in one sentence.
    """

    name: str
    before: str
    after: str
    allows_more: bool
    means: str


def by_name(limits: DatasetLimits) -> dict[str, Any]:
    """Each limit under the one name that it is shown and changed by; `total` is told as epsilon and delta."""
    values = limits.to_dict()
    return {**values.pop("total"), **values}


def changed(limits: DatasetLimits, new: Mapping[str, Any]) -> DatasetLimits:
    """The limits with some of them, by name, at new values.

    Raises:
        ConfigError: An unknown limit, or a value out of range.
    """
    values = by_name(limits)
    if unknown := sorted(set(new) - set(values)):
        raise ConfigError(f"Unknown limit {unknown[0]!r:.80}; known are {', '.join(sorted(values))}.")
    values |= new
    return limits.from_dict({"total": {name: values.pop(name) for name in ("epsilon", "delta")}, **values})


def compare(before: DatasetLimits, after: DatasetLimits) -> tuple[LimitChange, ...]:
    """Every limit that differs.

    Guarantees:
        `allows_more` holds wherever a plan that `before` refuses could pass `after`, or a budget becomes larger.
    """
    old, new = by_name(before), by_name(after)
    return tuple(_change(name, old[name], new[name]) for name in old if old[name] != new[name])


def _change(name: str, before: Any, after: Any) -> LimitChange:
    old, new = json.dumps(before), json.dumps(after)
    more = _ALLOWS_MORE[name](before, after)
    return LimitChange(
        name, old, new, more, MEANS[name].format(before=as_people_write(before), after=as_people_write(after))
    )


def _larger(before: Any, after: Any) -> bool:
    return bool(after > before)


def _smaller(before: Any, after: Any) -> bool:
    return bool(after < before)


def _wider(before: Any, after: Any) -> bool:
    return bool(after[0] < before[0] or after[1] > before[1])


def _more(before: Any, after: Any) -> bool:
    return bool(set(after) - set(before))


_ALLOWS_MORE: dict[str, Callable[[Any, Any], bool]] = {
    "epsilon": _larger,
    "delta": _larger,
    "max_study_epsilon": _larger,
    "max_researcher_epsilon": _larger,
    "min_noise_multiplier": _smaller,
    "max_grad_norms": _wider,
    "learning_rates": _wider,
    "sample_rates": _wider,
    "max_weight_decay": _larger,
    "max_proximal_mu": _larger,
    "max_rounds": _larger,
    "max_steps": _larger,
    "min_public_size": _smaller,
    "min_release_size": _smaller,
    "allow_non_private": _larger,
    "approvals_needed": _smaller,
    "adaptive_filter": _smaller,
    "model_sources": _more,
}
MEANS: Mapping[str, str] = MappingProxyType(
    {
        "epsilon": (
            "All studies together may take epsilon {after} of each privacy unit of the dataset in place of "
            "{before}, for good."
        ),
        "delta": "The promise that epsilon states may fail with probability {after} in place of {before}.",
        "max_study_epsilon": "One study may reserve epsilon {after} in place of {before}.",
        "max_researcher_epsilon": (
            "The studies of one researcher may reserve epsilon {after} together in place of {before}."
        ),
        "min_noise_multiplier": "A step needs noise of {after} times its bound at least, in place of {before}.",
        "max_grad_norms": "A training plan may bound a privacy unit's part in {after} in place of {before}.",
        "learning_rates": "A training plan may learn at rates in {after} in place of {before}.",
        "sample_rates": "A training plan may sample at rates in {after} in place of {before}.",
        "max_weight_decay": "A training plan may have a weight decay up to {after} in place of {before}.",
        "max_proximal_mu": "A training plan may have a proximal_mu up to {after} in place of {before}.",
        "max_rounds": "A plan may run {after} rounds in place of {before}.",
        "max_steps": "A plan may take {after} steps over all rounds in place of {before}.",
        "min_public_size": "A dataset of {after} privacy units may be published in place of {before}.",
        "min_release_size": "Counts of a dataset of {after} privacy units may leave in place of {before}.",
        "allow_non_private": (
            "Whether a plan may run without differential privacy, where no epsilon bounds what leaves: "
            "{after} in place of {before}."
        ),
        "approvals_needed": "A request needs the votes of {after} people in place of {before}.",
        "adaptive_filter": (
            "Whether the total holds also for studies chosen by earlier results: {after} in place of {before}."
        ),
        "model_sources": "A model may come from {after} in place of {before}.",
    }
)
"""Limit → what a change of it means: a template of `before` and `after`, both as people write them."""
