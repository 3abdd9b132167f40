"""Limits of a dataset: set by the hospital, readable by researchers, never theirs to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from policies.errors import ConfigError, LimitExceeded
from policies.plans import ranges
from policies.plans.kinds import Plan
from policies.plans.model_spec import MODEL_SOURCES
from policies.plans.releases import ReleaseSpec, StatisticsPlan
from policies.plans.training import PrivacySpec, TrainingPlan
from policies.validate import PLANS, Checks, written

_checks = Checks(ConfigError)

# A plan's field → the limit that holds its least and most, and the range that those must lie in.
_RANGES = {
    "max_grad_norm": ("max_grad_norms", ranges.MAX_GRAD_NORM),
    "learning_rate": ("learning_rates", ranges.LEARNING_RATE),
    "sample_rate": ("sample_rates", ranges.SAMPLE_RATE),
}


@dataclass(frozen=True)
class PrivacyBudget:
    """An amount of (epsilon, delta)-differential privacy, per privacy unit."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        _check_budget(self.epsilon, self.delta, PLANS)


def _check_budget(epsilon: Any, delta: Any, checks: Checks) -> None:
    checks.number("epsilon", epsilon, low=0, high=1e6, open_low=True)
    ranges.DELTA.check("delta", delta, checks)


@dataclass(frozen=True)
class DatasetLimits:
    """The hospital's limits for one dataset.

    Attributes:
        total: All that may ever be spent on this dataset, by anyone.
        max_study_epsilon: Most epsilon that one study may reserve, at total.delta.
        max_researcher_epsilon: Most epsilon that one researcher's studies may reserve together, at total.delta.
        min_noise_multiplier: Least noise multiplier of a plan.
        max_grad_norms: Least and most max_grad_norm of a training plan.
        learning_rates: Least and most learning rate of a training plan.
        sample_rates: Least and most sample rate of a training plan.
        max_weight_decay: Most weight decay of a training plan.
        max_proximal_mu: Most proximal_mu, and most mean_pull, of a training plan.
        max_rounds: Most rounds of a plan.
        max_steps: Most optimiser steps of a plan, over all rounds.
        min_public_size: Least public size; a smaller dataset is not published.
        min_release_size: Least public size of a dataset whose counts are released: evaluations and statistics.
        allow_non_private: Whether plans without differential privacy may run at all.
        approvals_needed: How many different people of the hospital must approve a request.
        adaptive_filter: Whether the total must hold by the bound that is proved for studies chosen by earlier results,
            too, which counts about a tenth more.
        model_sources: Where a model may come from: `built_in`, the platform's own models; `graph`, researchers' own
            ones, as graphs of operators that the platform knows. Researchers' own losses need `graph` too.
    """

    total: PrivacyBudget = field(default_factory=lambda: PrivacyBudget(8.0, 1e-5))
    max_study_epsilon: float = 8.0
    max_researcher_epsilon: float = 8.0
    min_noise_multiplier: float = 0.5
    max_grad_norms: tuple[float, float] = (1e-3, 100.0)
    learning_rates: tuple[float, float] = (1e-6, 100.0)
    sample_rates: tuple[float, float] = (1e-4, 1.0)
    max_weight_decay: float = 1.0
    max_proximal_mu: float = 10.0
    max_rounds: int = 500
    max_steps: int = 20_000
    min_public_size: int = 50
    min_release_size: int = 100
    allow_non_private: bool = False
    approvals_needed: int = 1
    adaptive_filter: bool = False
    model_sources: tuple[str, ...] = ("built_in",)

    def __post_init__(self) -> None:
        _checks.number("max_study_epsilon", self.max_study_epsilon, low=0, high=1e6, open_low=True)
        _checks.number("max_researcher_epsilon", self.max_researcher_epsilon, low=0, high=1e6, open_low=True)
        ranges.HOSPITAL_NOISE_MULTIPLIER.check("min_noise_multiplier", self.min_noise_multiplier, _checks)
        for name, allowed in _RANGES.values():
            object.__setattr__(self, name, allowed.check_part(name, getattr(self, name), _checks))
        ranges.WEIGHT_DECAY.check("max_weight_decay", self.max_weight_decay, _checks)
        ranges.PROXIMAL_MU.check("max_proximal_mu", self.max_proximal_mu, _checks)
        _checks.integer("max_rounds", self.max_rounds, low=1, high=10_000)
        _checks.integer("max_steps", self.max_steps, low=1, high=1_000_000)
        _checks.integer("min_public_size", self.min_public_size, low=1, high=10**9)
        _checks.integer("min_release_size", self.min_release_size, low=1, high=10**9)
        _checks.integer("approvals_needed", self.approvals_needed, low=1, high=10)
        _checks.boolean("allow_non_private", self.allow_non_private)
        _checks.boolean("adaptive_filter", self.adaptive_filter)
        if not isinstance(self.model_sources, list | tuple):
            raise ConfigError(f"model_sources must be a list, got {self.model_sources!r}.")
        object.__setattr__(self, "model_sources", tuple(self.model_sources))
        for source in self.model_sources:
            _checks.choice("model_sources", source, MODEL_SOURCES)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `total` becomes {epsilon, delta}."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` writes, or a part of it: a missing name takes its default.

        Raises:
            ConfigError: An unknown name or a value out of range.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Unknown limit {unknown[0]!r}; known are {', '.join(sorted(known))}.")
        built = dict(values)
        if "total" in built:
            total = built["total"]
            if not isinstance(total, Mapping) or set(total) != {"epsilon", "delta"}:
                raise ConfigError(f"total must be {{epsilon, delta}}, got {total!r}.")
            _check_budget(total["epsilon"], total["delta"], _checks)
            built["total"] = PrivacyBudget(**total)
        return cls(**built)

    def check(self, plan: Plan, *, unit: str, public_size: int) -> None:
        """Refuses a plan outside these limits. What it costs is checked against the ledger, not here.

        Args:
            plan: The plan that was submitted.
            unit: The dataset's privacy unit.
            public_size: The dataset's public size.

        Raises:
            LimitExceeded: With what was expected, what came and what to change.
        """
        self._check_length(plan)
        self._check_sources(plan)
        if isinstance(plan, TrainingPlan):
            self._check_training(plan)
        elif public_size < self.min_release_size:
            raise LimitExceeded(
                f"The hospital releases counts of datasets with a public size of at least {self.min_release_size}, "
                f"this one has {public_size}. Evaluate on a public hold-out instead."
            )
        if plan.privacy is None:
            if not self.allow_non_private:
                raise LimitExceeded(
                    "The hospital trains with differential privacy only, the plan has none. Give it a PrivacySpec."
                )
            return
        self._check_privacy(plan.privacy, unit)
        self._check_delta(public_size)

    def _check_length(self, plan: Plan) -> None:
        if plan.rounds > self.max_rounds:
            raise LimitExceeded(f"The hospital allows at most {self.max_rounds} rounds, the plan has {plan.rounds}.")
        if plan.total_steps > self.max_steps:
            raise LimitExceeded(
                f"The hospital allows at most {self.max_steps} steps over all rounds, the plan has "
                f"{plan.total_steps} in {plan.rounds} rounds. Lower the rounds or the steps of each."
            )

    def _check_sources(self, plan: Plan) -> None:
        own = not isinstance(plan, StatisticsPlan) and plan.model.is_own
        if own and "graph" not in self.model_sources:
            raise LimitExceeded(
                "The hospital takes no own models on this dataset: model_sources lacks 'graph'. Name a built-in model, "
                "or ask the hospital."
            )
        if isinstance(plan, TrainingPlan) and plan.objective.is_own and "graph" not in self.model_sources:
            raise LimitExceeded(
                "The hospital takes no own losses on this dataset: model_sources lacks 'graph'. Name a built-in loss, "
                "or ask the hospital."
            )
        if isinstance(plan, TrainingPlan) and not own and "built_in" not in self.model_sources:
            raise LimitExceeded("The hospital trains no built-in model on this dataset. Ask which sources it allows.")

    def _check_training(self, plan: TrainingPlan) -> None:
        values = {"learning_rate": plan.learning_rate, "sample_rate": plan.sample_rate}
        if plan.privacy is not None:
            values["max_grad_norm"] = plan.privacy.max_grad_norm
        for field_name, value in values.items():
            low, high = getattr(self, _RANGES[field_name][0])
            if not low <= value <= high:
                raise LimitExceeded(
                    f"The hospital asks for a {field_name} from {low:g} to {high:g}, the plan has {value:g}."
                )
        for field_name, value, most in (
            ("weight_decay", plan.weight_decay, self.max_weight_decay),
            ("proximal_mu", plan.proximal_mu, self.max_proximal_mu),
            ("mean_pull", plan.server.read.get("mean_pull", 0.0), self.max_proximal_mu),
        ):
            if value > most:
                raise LimitExceeded(
                    f"The hospital asks for a {field_name} of at most {most:g}, the plan has {value:g}."
                )

    def _check_privacy(self, privacy: PrivacySpec | ReleaseSpec, unit: str) -> None:
        if privacy.noise_multiplier < self.min_noise_multiplier:
            raise LimitExceeded(
                f"The hospital asks for a noise_multiplier of at least {self.min_noise_multiplier:g}, the plan has "
                f"{privacy.noise_multiplier:g}. Raise it, and with it the number of steps the budget allows."
            )
        if privacy.delta > self.total.delta:
            raise LimitExceeded(
                f"The hospital states epsilon at delta {written(self.total.delta)}, the plan asks for "
                f"{written(privacy.delta)}. Lower privacy.delta to {written(self.total.delta)}."
            )
        if privacy.unit != unit:
            raise LimitExceeded(
                f"The dataset's privacy unit is a {unit}, the plan says {privacy.unit}. Set privacy.unit to '{unit}'."
            )

    def _check_delta(self, public_size: int) -> None:
        """A delta of 1/N would let a mechanism hand out one of N records whole, and still keep its promise."""
        if self.total.delta * public_size >= 1:
            raise LimitExceeded(
                f"The hospital's delta is {written(self.total.delta)}, which promises nothing to {public_size} units: "
                f"it must be below 1/{public_size}. Ask the hospital to lower it."
            )
