"""A simulation's results, in the form that a study's have. They say that it was simulated, and promise nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from policies.plans.server.server_spec import PERSONAL
from policies.versions import packages
from researcher.reports import StudyResult, write_report
from researcher.simulation.work import Work
from researcher.strategies import ServerState
from researcher.studies.checkpoints import Checkpoint, save_model
from researcher.studies.history import History, PrivacySpent

MODEL_FILE = "global_model.safetensors"


def write_results(out: Path, work: Work, state: ServerState, history: History) -> StudyResult:
    """Writes report, numbers and global model, with a model for each hospital where the strategy keeps one.

    A model's own record says of no hospital that it was private.

    Args:
        out: The simulation's folder.
        work: What was done.
        state: After the last round.
        history: Of all rounds.

    Raises:
        ConfigError: The folder cannot be written.
    """
    plan, hold_out, hospitals = work.plan, work.hold_out, work.hospitals
    epsilons, privacy = history.records[-1].epsilon, plan.privacy
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
    )
    nobody: dict[str, PrivacySpent | None] = dict.fromkeys(result.datasites)
    checkpoint = Checkpoint(state.model, plan.model, state.round, hold_out.class_names, plan.digest(), nobody)
    save_model(out / MODEL_FILE, checkpoint)
    if plan.server.strategy in PERSONAL and state.kept is not None:
        for name in state.kept.hospitals:
            own = replace(checkpoint, weights=state.kept.read(name) or state.model)
            save_model(out / f"model-{name}.safetensors", own)
    write_report(out, result)
    return result
