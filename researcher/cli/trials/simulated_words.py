"""Texts of the command line about a simulated study, in the words of its report. All of it is of made-up hospitals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from policies.answers import rounded
from policies.plans.training import TrainingPlan
from policies.terminal.printing import say
from researcher.planning.planning import study_epsilon
from researcher.reports import StudyResult, own_models, wording
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.results import model_file
from researcher.studies.history import RoundRecord


def say_plan(plan: TrainingPlan, hospitals: Sequence[MadeUpHospital]) -> None:
    """Says what the plan is, and what it would cost."""
    epsilon, sizes = study_epsilon(plan), sorted(hospital.public_size for hospital in hospitals)
    cost = "without differential privacy"
    if epsilon is not None and plan.privacy is not None:
        cost = f"at real hospitals {rounded.at_delta(epsilon, plan.privacy.delta)}"
    say(
        f"A simulation of {wording.count(len(hospitals), 'hospital')} of {wording.sizes(sizes[0], sizes[-1], 'unit')}: "
        f"{wording.count(plan.rounds, 'round')} of {wording.count(plan.steps_per_round, 'step')}, {cost}."
    )
    noise = "It has no noise" if plan.privacy is None else "Its noise follows from the seed"
    say(f"{noise} and protects nobody: simulate on public data alone.")


def say_round(record: RoundRecord) -> None:
    """Says how a round's model does."""
    name, value = wording.headline(record)
    cost = f", epsilon {rounded.cost(max(record.epsilon.values()))}" if record.epsilon else ""
    say(
        f"round {record.round}: {name} {value}, macro F1 {record.macro_f1:.3f}{cost}, "
        f"{wording.seconds(record.seconds['total'])}"
    )


def say_end(result: StudyResult, out: Path) -> None:
    """Says how models do at hospitals, and where everything lies."""
    for told in own_models.spread(result):
        say(told)
    say(f"Written to {out}/: report.html, result.json, {model_file(result.plan)}")
