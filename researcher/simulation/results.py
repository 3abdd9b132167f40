"""A simulation's results, in the form that a study's have. They say that it was simulated, and promise nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from policies.plans.server.local_part import keeps_part, shared
from policies.plans.training import TrainingPlan
from policies.versions import packages
from researcher.evaluation.evaluation import Evaluation
from researcher.reports import StudyResult, write_report
from researcher.reports.kept_result import read_result
from researcher.simulation.own_models import at_home, own_models
from researcher.simulation.work import Work
from researcher.strategies import ServerState
from researcher.studies.checkpoints import SHARED_FILE, Checkpoint, save_model
from researcher.studies.history import History, PrivacySpent

MODEL_FILE, RESULT_FILE = "global_model.safetensors", "result.json"


def model_file(plan: TrainingPlan) -> str:
    """The name of the file of what all hospitals have in common at the end."""
    return SHARED_FILE if keeps_part(plan) else MODEL_FILE


def written_own_models(out: Path) -> Mapping[str, Evaluation]:
    """The scores of hospitals' own models that a folder's results tell."""
    return read_result(out / RESULT_FILE).own_models


def write_results(
    out: Path, work: Work, state: ServerState, history: History, own: Mapping[str, Evaluation]
) -> StudyResult:
    """Writes report, numbers and global model, with a model for each hospital where the strategy keeps one.

    Where hospitals keep a part of the model, what they share takes the global model's place, as it does in a study. A
    model's own record says of no hospital that it was private.

    Args:
        out: The simulation's folder.
        work: What was done.
        state: After the last round.
        history: Of all rounds.
        own: Hospital → how its own model does; empty where there are none.

    Raises:
        ConfigError: The folder cannot be written.
    """
    plan, hold_out, hospitals = work.plan, work.hold_out, work.hospitals
    last, privacy = history.records[-1], plan.privacy
    epsilons, confusion = last.epsilon, last.confusion
    spent = {
        hospital.name: None if privacy is None else PrivacySpent(epsilons[hospital.name], privacy.delta, privacy.unit)
        for hospital in hospitals
    }
    result = StudyResult(
        plan=plan,
        class_names=hold_out.class_names,
        parameters=sum(array.size for array in state.weights.values()),
        public_sizes={hospital.name: hospital.public_size for hospital in hospitals},
        privacy=spent,
        history=history,
        versions={"researcher": dict(packages.installed())},
        finished=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        simulated=work.told,
        own_models=own,
        at_home=at_home(work, {one.name: own[one.name].confusion if own else confusion for one in hospitals}),
    )
    nobody: dict[str, PrivacySpent | None] = dict.fromkeys(result.datasites)
    checkpoint = Checkpoint(state.model, plan.model, state.round, hold_out.class_names, plan.digest(), nobody)
    save_model(out / model_file(plan), replace(checkpoint, weights=shared(plan, state.model)))
    for name, weights in own_models(plan, state).items():
        save_model(out / f"model-{name}.safetensors", replace(checkpoint, weights=weights()))
    write_report(out, result)
    return result
