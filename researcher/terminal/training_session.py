"""A study in the terminal from its decisions to its report: what `train` and the demo have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from policies.errors import WanwuError
from policies.inside_folder import inside
from policies.plans.server.local_part import keeps_part, shared
from policies.plans.server.server_spec import BY_A_GRAM, PERSONAL
from policies.plans.training import TrainingPlan
from policies.terminal.rich_terminal import PlainConsole, line
from policies.versions import packages
from researcher.counts.kept_gram import KeptGram, keep_receipts
from researcher.evaluation.hold_out import HoldOut
from researcher.reports import StudyResult, write_report
from researcher.strategies import ServerState, Strategy, build
from researcher.studies.checkpoints import SHARED_FILE, Checkpoint, check_whole, save_model
from researcher.studies.history import History
from researcher.studies.kept_plan import RECEIPTS
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.study import Study, strategy_of
from researcher.terminal.given_gram import given_gram
from researcher.terminal.progress import RoundDisplay, told_with_gram
from researcher.terminal.waiting import wait_for_decisions

MODEL_FILE = "global_model.safetensors"


def wait_and_run(
    study: Study,
    hold_out: HoldOut,
    *,
    console: PlainConsole,
    min_clients: int,
    seed: int,
    strategy: Strategy | None = None,
    initial_weights: Mapping[str, np.ndarray] | None = None,
    retry_policy: RetryPolicy | None = None,
    title: str = "",
) -> tuple[ServerState, History]:
    """Waits until enough hospitals approved, unless rounds are under way, then runs them with a progress display.

    The first global model is `initial_weights`, each of its parameter's shape, or drawn from `seed` if there are none.
    """

    def drawn() -> Mapping[str, np.ndarray]:
        from datasites.training.models import initial_weights

        return initial_weights(study.plan.model, seed)

    for told in hold_out.told():
        console.print(line(told))
    policy = retry_policy or RetryPolicy()
    if not study.is_under_way(min_clients):
        wait_for_decisions(
            study, console, min_clients=min_clients, grace_seconds=policy.grace_seconds, others_may_be_invited=True
        )
    with RoundDisplay(console, list(study.requests), rounds=study.plan.rounds, title=title) as display:
        return study.run(
            hold_out=hold_out,
            initial_weights=drawn if initial_weights is None else initial_weights,
            strategy=strategy,
            min_clients=min_clients,
            retry_policy=policy,
            on_event=display.on_event,
            on_round=display.on_round,
        )


def train_study(
    study: Study,
    hold_out: HoldOut,
    *,
    console: PlainConsole,
    min_clients: int,
    seed: int,
    out: Path,
    strategy: Strategy | None = None,
    initial_weights: Mapping[str, np.ndarray] | None = None,
    retry_policy: RetryPolicy | None = None,
) -> StudyResult:
    """Runs a study as `wait_and_run` does, and writes its model, numbers, curves and report into `out`."""
    state, history = wait_and_run(
        study,
        hold_out,
        console=console,
        min_clients=min_clients,
        seed=seed,
        strategy=strategy,
        initial_weights=initial_weights,
        retry_policy=retry_policy,
    )
    result = result_of(study, state, history, hold_out)
    missing = write_all(out, study, state, history, result)
    file = SHARED_FILE if keeps_part(study.plan) else MODEL_FILE
    if told := told_with_gram(result):
        console.print(told, soft_wrap=True)
    console.print(f"Written to {out}/: report.html, result.json, {file}", soft_wrap=True)
    for name, error in missing.items():
        told = f": its receipt was not fetched, ask again with the command receipts. {error.code}: {error.public}"
        console.print(line((name, "yellow"), told))
    return result


def result_of(study: Study, state: ServerState, history: History, hold_out: HoldOut) -> StudyResult:
    """Returns the study's result as one value, without a local-only baseline.

    Args:
        study: After its rounds.
        state: The last state, as `Study.run` returns it.
        history: The rounds, likewise.
        hold_out: What the global models were evaluated on.
    """
    there = study.federation.hospitals
    privacy = study.privacy(history)
    gram = given_gram(study.plan.server.strategy, study.folder, None)
    return StudyResult(
        plan=study.plan,
        class_names=hold_out.class_names,
        parameters=sum(array.size for array in state.weights.values()),
        public_sizes={name: _public_size(study, name) for name in (*study.requests, *study.refused)},
        privacy=privacy,
        privacy_total={} if gram is None else gram.with_study(study.plan, privacy),
        canaries=study.canaries,
        invited={name: one for name, one in study.invited.items() if name in study.requests},
        gram_noise=None if gram is None else gram.plan.privacy.noise_multiplier,
        history=history,
        versions={
            "researcher": dict(packages.installed()),
            **{name: there[name].versions for name in study.requests if name in there},
        },
        finished=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
    )


def _public_size(study: Study, name: str) -> int | None:
    hospital = study.federation.hospitals.get(name)
    dataset = hospital.datasets.get(study.plan.dataset) if hospital else None
    return dataset.public_size if dataset else None


def model_file(folder: Path, hospital: str | None = None) -> Path:
    """The file of a study's global model, or of one hospital's, where each has a model of its own.

    Args:
        folder: Of the study.
        hospital: Its name; the global model if None.

    Raises:
        ConfigError: The name cannot be one of a file in the folder; or the study has no whole model, since each
            hospital keeps a part of its own.
    """
    check_whole(folder)
    return inside(folder, MODEL_FILE if hospital is None else f"model-{hospital}.safetensors")


def write_all(
    out: Path, study: Study, state: ServerState, history: History, result: StudyResult
) -> dict[str, WanwuError]:
    """Writes the global model, those of the hospitals where each has its own, result, curves, report and receipts.

    Where hospitals keep a part of the model, `shared_part.safetensors` has the rest, and there is no global model.

    Args:
        out: The folder to write into.
        study: After its rounds; its hospitals are asked for receipts.
        state: The last state, as `Study.run` returns it.
        history: The rounds, likewise.
        result: As `result_of` makes it.

    Returns:
        Datasite → why its receipt could not be fetched.

    Raises:
        ConfigError: The folder cannot be written.
    """
    there = study.federation.hospitals
    costs = study.privacy(history) if result.gram_noise is None else result.privacy_total
    published = [there[name].datasets[study.plan.dataset] for name in study.requests if name in there]
    kinds = {one.modality for one in published}
    gram = given_gram(study.plan.server.strategy, study.folder, None)
    checkpoint = Checkpoint(
        weights=state.model,
        model=study.plan.model,
        round=state.round,
        class_names=result.class_names,
        plan_digest=study.plan.digest(),
        # Who never trained it is not among them; who was charged is, also where its update came too late.
        privacy={name: spent for name, spent in costs.items() if spent or name in result.took_part},
        form=published[0].form,
        modality=published[0].modality if len(kinds) == 1 else None,
        gram=None if gram is None else gram.digests,
    )
    if keeps_part(study.plan):
        save_model(out / SHARED_FILE, replace(checkpoint, weights=shared(study.plan, state.model)))
    else:
        save_model(out / MODEL_FILE, checkpoint)
    if study.plan.server.strategy in PERSONAL and state.kept is not None:
        for name in state.kept.hospitals:
            save_model(model_file(out, name), replace(checkpoint, weights=state.kept.read(name) or state.model))
    write_report(out, result)
    missing: dict[str, WanwuError] = {}
    study.receipts(out / RECEIPTS, on_missing=missing.__setitem__)
    return missing


def chosen_strategy(plan: TrainingPlan, folder: Path, gram: Path | None = None) -> Strategy:
    """The plan's strategy; dp_fc with the Gram matrix of a folder, else with the one that the study keeps.

    Args:
        plan: The study's.
        folder: The study's.
        gram: Folder of a Gram matrix, as `gram` wrote it; None where the study keeps one.

    Raises:
        ConfigError: The folder holds none, or one of other features, or the plan's strategy takes none.
    """
    kept = given_gram(plan.server.strategy, folder, gram)
    if kept is None:
        return strategy_of(plan)
    kept.check_for(plan)
    own = {"server_momentum": plan.server_momentum, "server_averaging": plan.server_averaging}
    return build(BY_A_GRAM, **own, **plan.server.read, gram=kept.summed())


def keep_gram(plan: TrainingPlan, folder: Path, gram: Path | None) -> None:
    """Keeps a Gram matrix and its receipts in a study's folder, so that the study goes on from there alone.

    Args:
        plan: As of `chosen_strategy`, like all of these.
        folder: Likewise.
        gram: Likewise.

    Raises:
        ConfigError: The matrix cannot be read, or the folder not written.
    """
    if gram is not None and plan.server.by_a_gram:
        KeptGram.load(gram).save(folder)
        keep_receipts(gram, folder)
