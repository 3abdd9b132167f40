"""Every number of a plan lies in a range, a hospital's limits inside it, and the unusual is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import ConfigError, LimitExceeded, PlanError
from policies.plans import ranges
from policies.plans.findings import findings
from policies.plans.ranges import Range
from policies.plans.releases import ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, ServerSpec, TrainingPlan

PRIVACY = PrivacySpec(1.0, 1.0, 1e-5)
PLAN = TrainingPlan(
    "study", "data", ModelSpec("linear", (8, 8, 1), 2), 5, 4, sample_rate=0.2, learning_rate=0.5, privacy=PRIVACY
)
OF_PRIVACY = {"noise_multiplier": ranges.NOISE_MULTIPLIER, "max_grad_norm": ranges.MAX_GRAD_NORM, "delta": ranges.DELTA}
OF_TRAINING = {
    "sample_rate": ranges.SAMPLE_RATE,
    "learning_rate": ranges.LEARNING_RATE,
    "momentum": ranges.MOMENTUM,
    "weight_decay": ranges.WEIGHT_DECAY,
    "proximal_mu": ranges.PROXIMAL_MU,
}


def plan_with(name: str, value: Any) -> TrainingPlan:
    if name in OF_PRIVACY:
        return replace(PLAN, privacy=replace(PRIVACY, **{name: value}))
    return replace(PLAN, **{name: value})


def outside(allowed: Range) -> tuple[float, float]:
    return math.nextafter(allowed.low, -math.inf), math.nextafter(allowed.high, math.inf)


@pytest.mark.parametrize(("name", "allowed"), [*OF_PRIVACY.items(), *OF_TRAINING.items()])
def test_a_plan_takes_both_ends_of_each_range_and_nothing_beyond(name: str, allowed: Range) -> None:
    for value in (allowed.low, allowed.high):
        plan = plan_with(name, value)
        assert TrainingPlan.from_json(plan.to_json()) == plan
    for value in (*outside(allowed), -1.0, math.nan, math.inf, "1"):
        with pytest.raises(PlanError, match=name):
            plan_with(name, value)


@pytest.mark.parametrize("name", ["noise_multiplier", "delta"])
def test_releases_have_the_same_ranges(name: str) -> None:
    known = {"noise_multiplier": 10.0, "delta": 1e-5}
    for value in (OF_PRIVACY[name].low, OF_PRIVACY[name].high):
        assert getattr(ReleaseSpec(**{**known, name: value}), name) == value
    for value in outside(OF_PRIVACY[name]):
        with pytest.raises(PlanError, match=name):
            ReleaseSpec(**{**known, name: value})


@pytest.mark.parametrize(
    ("limit", "name", "refused"),
    [
        ({"max_grad_norms": [0.1, 2.0]}, "max_grad_norm", (0.09, 2.1)),
        ({"learning_rates": [0.1, 2.0]}, "learning_rate", (0.09, 2.1)),
        ({"sample_rates": [0.1, 0.5]}, "sample_rate", (0.09, 0.51)),
        ({"max_weight_decay": 0.01}, "weight_decay", (0.011,)),
        ({"max_proximal_mu": 0.5}, "proximal_mu", (0.51,)),
        ({"min_noise_multiplier": 0.9}, "noise_multiplier", (0.89,)),
        ({"total": {"epsilon": 8.0, "delta": 1e-5}}, "delta", (1.1e-5,)),
    ],
)
def test_a_hospital_narrows_each_range(limit: dict[str, Any], name: str, refused: tuple[float, ...]) -> None:
    limits = DatasetLimits.from_dict(limit)
    assert DatasetLimits.from_dict(limits.to_dict()) == limits
    limits.check(PLAN, unit="picture", public_size=1000)
    for value in refused:
        with pytest.raises(LimitExceeded, match=name):
            limits.check(plan_with(name, value), unit="picture", public_size=1000)


@pytest.mark.parametrize(
    "values",
    [
        {"max_grad_norms": [1e-7, 1.0]},
        {"max_grad_norms": [2.0, 1.0]},
        {"max_grad_norms": 1.0},
        {"learning_rates": [0.1, 1e5]},
        {"sample_rates": [0.1, 1.5]},
        {"sample_rates": [0.1]},
        {"max_weight_decay": -1},
        {"max_proximal_mu": 1e9},
        {"min_noise_multiplier": 0.04},
        {"adaptive_filter": "yes"},
    ],
)
def test_limits_outside_the_ranges_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        DatasetLimits.from_dict(values)


def test_a_budgets_delta_has_the_plans_range() -> None:
    assert PrivacyBudget(1.0, ranges.DELTA.low).delta == ranges.DELTA.low
    with pytest.raises(PlanError, match="delta"):
        PrivacyBudget(1.0, ranges.DELTA.high * 1.01)


def test_an_ordinary_plan_has_no_findings() -> None:
    assert findings(PLAN, public_size=1000) == ()


@pytest.mark.parametrize(
    ("name", "ordinary", "unusual"),
    [
        ("max_grad_norm", 0.01, 0.0099),
        ("max_grad_norm", 10.0, 10.1),
        ("noise_multiplier", 0.5, 0.49),
        ("noise_multiplier", 100.0, 101.0),
        ("delta", 1e-4, 1.1e-4),
        ("sample_rate", 0.001, 0.0009),
        ("sample_rate", 0.5, 0.51),
        ("learning_rate", 1e-4, 9e-5),
        ("learning_rate", 10.0, 11.0),
        ("momentum", 0.99, 0.991),
        ("weight_decay", 0.1, 0.11),
        ("proximal_mu", 1.0, 1.1),
    ],
)
def test_a_value_beyond_the_ordinary_is_one_finding_that_names_it(name: str, ordinary: float, unusual: float) -> None:
    assert findings(plan_with(name, ordinary), public_size=1000) == ()
    (found,) = findings(plan_with(name, unusual), public_size=1000)
    assert found.field.endswith(name)
    assert f"{unusual:g}" in found.text
    assert found.text.endswith(".")


def test_the_bound_of_a_head_on_features_is_compared_with_what_such_heads_use_and_full_steps_are_ordinary() -> None:
    head = replace(PLAN, model=ModelSpec("scattering_linear", (32, 32, 3), 2), sample_rate=1.0)
    for clip in (7.97, 13.3, 26.5):
        assert findings(replace(head, privacy=replace(PRIVACY, max_grad_norm=clip)), public_size=1000) == ()
    (found,) = findings(replace(head, privacy=replace(PRIVACY, max_grad_norm=26.7)), public_size=1000)
    assert found.text.startswith(
        "max_grad_norm 26.7 is far above what linear heads on 705 features use (0.01 to 26.6):"
    )


def test_pictures_computed_one_by_one_are_a_finding() -> None:
    assert findings(replace(PLAN, run=RunSpec(physical_batch_size=2)), public_size=1000) == ()
    (found,) = findings(replace(PLAN, run=RunSpec(physical_batch_size=1)), public_size=1000)
    assert found.field == "run.physical_batch_size"


def test_no_privacy_is_a_finding_and_releases_have_theirs() -> None:
    (found,) = findings(replace(PLAN, privacy=None), public_size=1000)
    assert found.field == "privacy"
    statistics = StatisticsPlan("study", "data", (8, 8, 1), 2, ReleaseSpec(0.3, 1e-3))
    assert [one.field for one in findings(statistics, public_size=1000)] == [
        "privacy.noise_multiplier",
        "privacy.delta",
    ]


def test_the_most_pull_that_a_hospital_allows_is_that_to_the_mean_of_models_too() -> None:
    limits = DatasetLimits.from_dict({"max_proximal_mu": 0.05})
    plain = replace(PLAN, proximal_mu=0.0, server_momentum=0.0, server_averaging=0.0)
    limits.check(plain, unit="picture", public_size=1000)  # a strategy without the pull holds its default
    limits.check(replace(plain, server=ServerSpec("mr_mtl", mean_pull=0.05)), unit="picture", public_size=1000)
    with pytest.raises(LimitExceeded, match="mean_pull"):
        limits.check(replace(plain, server=ServerSpec("mr_mtl")), unit="picture", public_size=1000)
