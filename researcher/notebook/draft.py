"""A plan before it is submitted: what it asks for and costs, a rehearsal at home, and the way to the hospitals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.answers import rounded
from policies.answers.odds import odds
from policies.budget.accountant import plan_spend
from policies.budget.limits import DatasetLimits
from policies.budget.membership import membership_bounds
from policies.errors import ConfigError, LimitExceeded
from policies.plans.training import TrainingPlan
from researcher.hospitals.hospital import DatasetInfo
from researcher.html.element import Html, listed, table, together
from researcher.notebook.rehearsal import HomeRehearsal, rehearse
from researcher.notebook.settings import settings_of
from researcher.notebook.setup import Setup
from researcher.notebook.study import Study
from researcher.planning.planning import make_plan, study_epsilon
from researcher.planning.shortages import shortages
from researcher.reports import settings as told_settings
from researcher.reports import wording

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation


@dataclass(frozen=True)
class Draft:
    """A plan that no hospital has been asked for yet.

    Attributes:
        federation: The hospitals that it would be submitted to.
        plan: Every value written out, as the hospitals' people will read it.
        short: Datasite → why its privacy budget, as it was when the plan was made, hardly holds the study.
    """

    federation: Federation
    plan: TrainingPlan
    short: Mapping[str, str] = field(default_factory=dict)

    @property
    def epsilon(self) -> float | None:
        """What the whole study costs at each hospital, at the plan's delta; None without differential privacy."""
        return study_epsilon(self.plan)

    @property
    def refusals(self) -> dict[str, str]:
        """Datasite → why its limits, as it published them, would refuse the plan; empty where none would."""
        found = {}
        for one in self._datasets():
            try:
                DatasetLimits.from_dict(one.limits).check(self.plan, unit=one.unit, public_size=one.public_size)
            except LimitExceeded as error:
                found[one.datasite] = error.public
            except ConfigError:  # limits of a later version: the hospital checks them itself
                continue
        return found

    def rehearse(self) -> HomeRehearsal:
        """Runs a few steps of the first round here, on the hospitals' mock, by the code that the hospitals run.

        Nothing is asked of a hospital but its mock, and nothing is spent.

        Raises:
            WanwuError: What a round would fail with at a hospital.
        """
        return rehearse(self.federation, self.plan, self._datasets(), self.refusals)

    def submit(
        self,
        folder: Path | str,
        *,
        hold_out: Path | str | None = None,
        min_clients: int = 2,
        seed: int = 0,
        backbone_weights: str | None = None,
    ) -> Study:
        """Submits the plan to all hospitals of the federation. What is needed to go on and to repeat it is kept.

        Args:
            folder: Where the study is kept.
            hold_out: Public pictures that global models are evaluated on, as `load_hold_out` reads them; it is read
                before anything is submitted. May be given to `Study.run` instead.
            min_clients: Least hospitals in a round.
            seed: Of the first global weights.
            backbone_weights: Public weights of a features model's backbone, to evaluate on the hold-out.

        Raises:
            ConfigError: The folder holds a study, or the hold-out cannot be used.
            WanwuError: What a hospital refused the plan with.
        """
        setup = Setup.of(
            self.federation,
            self.plan,
            hold_out=hold_out,
            min_clients=min_clients,
            seed=seed,
            backbone_weights=backbone_weights,
        )
        return Study.begin(self.federation, self.plan, folder, setup)

    def _datasets(self) -> list[DatasetInfo]:
        return [hospital.datasets[self.plan.dataset] for hospital in self.federation.hospitals.values()]

    def __repr__(self) -> str:
        return "\n".join([self._summary(), *(f"  {told}" for told in self._doubts())])

    def _repr_html_(self) -> Html:
        said = odds(None if self.plan.privacy is None else membership_bounds(plan_spend(self.plan)), _unit(self.plan))
        rows = told_settings.of_plan(self.plan)
        return together(
            self._summary(), listed([*self._doubts(), said.text]), table("Plan", ["setting", "value"], rows)
        )

    def _doubts(self) -> list[str]:
        refused = [f"{name} would refuse it: {why}" for name, why in self.refusals.items()]
        return [*refused, *(f"{name}: {why}" for name, why in self.short.items())]

    def _summary(self) -> str:
        plan, where = self.plan, wording.count(len(self.federation.hospitals), "hospital")
        cost = "without differential privacy"
        if self.epsilon is not None and plan.privacy is not None:
            cost = (
                f"epsilon {rounded.cost(self.epsilon)} at delta {wording.number(plan.privacy.delta)} for each "
                f"{plan.privacy.unit}"
            )
        return (
            f"Plan '{plan.study}': {plan.model.called} on '{plan.dataset}' at {where}, "
            f"{wording.count(plan.rounds, 'round')} of {wording.count(plan.steps_per_round, 'step')}, {cost}; "
            "not submitted"
        )


def draft(federation: Federation, dataset: str | None, given: Mapping[str, Any]) -> Draft:
    """A plan from a dataset's name, or None for the only one, and settings by name."""
    offered = [found for found in federation.datasets() if dataset in (None, found.name)]
    plan = make_plan(settings_of(given), offered)
    return Draft(federation, plan, shortages(federation, plan))


def _unit(plan: TrainingPlan) -> str:
    return "picture" if plan.privacy is None else plan.privacy.unit
