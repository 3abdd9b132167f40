"""Commands about a study: `submit`, `status`, `train`, `end`. A plan and weights go out, checked updates come back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from policies.terminal.commands import option, path
from policies.terminal.printing import say
from researcher.cli.access import Missing, connect, credentials_option
from researcher.cli.commands import GOES_ON, SUBMITTED, TOLD, ResearcherCommands, backbone_weights, study_folder

if TYPE_CHECKING:
    from pathlib import Path

    from policies.plans.training import TrainingPlan
    from researcher.hospitals.federation import Federation
    from researcher.planning.settings import StudySettings
    from researcher.studies.study import Study


def submit(*, credentials: Sequence[str], out: Path, **study_options: Any) -> None:
    """Submits a study to every hospital and returns; the hospitals decide."""
    from researcher.cli.study_options import study_settings_of

    dataset, chosen = study_options["dataset"], study_settings_of(study_options)
    with connect(credentials, announced=True) as federation:
        study = _submit(federation, out, *_planned(federation, dataset, chosen), begun={})
    _tell_of_gram(study.plan)


def _tell_of_gram(plan: TrainingPlan) -> None:
    """That a plan steps by a matrix which is asked for apart: `train` refuses to begin without it."""
    if plan.server.by_a_gram:
        say("It steps by the Gram matrix of the hospitals' features, a request of its own. Where there is none, ask")
        say("for it with 'python -m researcher gram' at this study's --epsilon; 'train' takes its folder with --gram.")


def status(*, credentials: Sequence[str], out: Path) -> None:
    """Shows what the hospitals decided, how many rounds are done, and which a hospital was missing from, and why."""
    from policies.answers.requests import with_reason
    from researcher.studies.study import Study

    with connect(credentials, begun=True) as federation:
        study = Study.load(federation, out)
        for name, (state, reason) in study.decisions().items():
            say(f"{name}: {study.requests[name].request_id[:8]} {with_reason(state, reason)}")
        for name, reason in study.refused.items():
            say(f"{name}: did not take the plan: {reason}")
        for name, one in study.invited.items():
            say(f"{name}: {one.told()}")
        for name in study.on_the_way:
            say(f"{name}: may have a request that was not noted here; 'invite' finds it")
        for line in study.told_left_behind():
            say(line)
        for name, canary in study.canaries.items():
            say(f"canary at {name}: {canary.told()}")
        for name, count in study.questions().items():
            if count:
                say(f"{name}: {count} question{'s wait' if count > 1 else ' waits'} for your answer")
        for line in study.told_rehearsals():
            say(line)
    if saved := study.saved():
        given_up = sum(not record.datasites for record in saved[1].records)
        without = f", {given_up} of them given up: the model stayed as it was" if given_up else ""
        say(f"{len(saved[1])} of {study.plan.rounds} rounds done{without}")
        if any(record.skipped for record in saved[1].records):
            from researcher.reports.participation import told_left_out

            for line in told_left_out(saved[1].records):
                say(line)


def train(
    *,
    credentials: Sequence[str],
    out: Path,
    test: Path,
    min_clients: int,
    seed: int,
    initial_weights: str | None,
    initial_weights_sha256: str | None,
    backbone_weights: str | None,
    gram: Path | None,
    **study_options: Any,
) -> None:
    """Submits the study unless that was done, waits until enough hospitals approved, and runs the rounds."""
    from researcher.cli.study_options import check_min_clients, given_flags, retry_policy_of, study_settings_of
    from researcher.studies.study import STUDY_FILE, Study, check_enough
    from researcher.terminal.given_gram import check_given

    retry_policy = retry_policy_of(study_options)
    dataset, chosen = study_options["dataset"], study_settings_of(study_options)
    goes_on = (out / STUDY_FILE).exists()
    check_given(chosen, out, gram)
    reached = connect(credentials, enough=min_clients if goes_on else None, begun=goes_on, announced=True)
    with reached as federation, contextlib.ExitStack() as until_done:
        from policies.terminal.rich_terminal import PlainConsole
        from researcher.terminal.public_data import first_weights, hold_out_for
        from researcher.terminal.training_session import chosen_strategy, keep_gram, train_study

        study = None
        if goes_on:
            study = Study.load(federation, out)
            until_done.enter_context(study.held())
            if flags := given_flags(study_options):
                say(f"Going on with the study in {out} as it was submitted; this changes nothing: {' '.join(flags)}")
        plan, cost = _planned(federation, dataset, chosen) if study is None else (study.plan, "")
        info = next(iter(federation.hospitals.values())).datasets[plan.dataset]
        hold_out = hold_out_for(plan, info, test, backbone_weights)
        names = study.requests if study else [*federation.hospitals, *federation.missing]
        check_min_clients(min_clients, names)
        strategy = chosen_strategy(plan, out, gram)
        check_enough(strategy, min_clients)
        federation.check_enough(min_clients, names)
        begun = {"hold_out": test, "min_clients": min_clients, "seed": seed, "backbone_weights": backbone_weights}
        if study is None:
            study = _submit(federation, out, plan, cost, begun=begun)
            until_done.enter_context(study.held())
        else:
            _keep(federation, out, plan, begun, submitted=True)
        keep_gram(plan, out, gram)
        train_study(
            study,
            hold_out,
            console=PlainConsole(),
            min_clients=min_clients,
            seed=seed,
            out=out,
            strategy=strategy,
            initial_weights=first_weights(study, out, initial_weights, sha256=initial_weights_sha256, seed=seed),
            retry_policy=retry_policy,
        )


def end(*, credentials: Sequence[str], out: Path) -> int:
    """Tells the hospitals that no further round comes; what was reserved and not used becomes free. Status 1 if one
    could not be told.
    """
    from researcher.studies.study import Study

    missing = Missing()
    with connect(credentials, begun=True) as federation:
        study = Study.load(federation, out)
        study.end(on_missing=missing)
    where = "every other hospital" if missing.status else "every hospital"
    say(f"Ended '{study.plan.study}' at {where} that had approved it. What was not used is free again there.")
    return missing.status


def _planned(federation: Federation, dataset: str | None, chosen: StudySettings) -> tuple[TrainingPlan, str]:
    """The plan, and what it costs in words; where a hospital's budget hardly holds it is said."""
    from policies.answers.rounded import at_delta
    from researcher.planning.planning import make_plan, study_epsilon
    from researcher.planning.shortages import shortages

    plan = make_plan(chosen, [found for found in federation.datasets() if dataset in (None, found.name)])
    for name, why in shortages(federation, plan).items():
        say(f"{name}: {why}")
    epsilon = study_epsilon(plan)
    if epsilon is None or plan.privacy is None:
        return plan, "without differential privacy"
    return plan, at_delta(epsilon, plan.privacy.delta)


def _submit(federation: Federation, out: Path, plan: TrainingPlan, cost: str, *, begun: Mapping[str, Any]) -> Study:
    """Submits the plan; beside it lies what is needed to go on with it elsewhere, and to repeat it."""
    from researcher.studies.study import Study

    study = Study.submit(
        federation, plan, out, before=lambda folder: _keep(federation, folder, plan, begun, submitted=False)
    )
    rounds, steps = (
        f"{n} {what}{'s' * (n != 1)}" for n, what in ((plan.rounds, "round"), (plan.steps_per_round, "step"))
    )
    say(f"Submitted '{plan.study}': {rounds} of {steps}, {cost}.")
    for name, request in study.requests.items():
        say(f"  {name}: request {request.request_id[:8]}, waiting for the hospital's decision")
    for name, reason in study.refused.items():
        say(f"  without {name}: {reason}")
    for line in study.told_left_behind():
        say(f"  {line}")
    return study


def _keep(federation: Federation, out: Path, plan: TrainingPlan, begun: Mapping[str, Any], *, submitted: bool) -> None:
    from researcher.notebook.setup import keep_until_begun

    keep_until_begun(out, federation, plan, submitted=submitted, **begun)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    access, folder = credentials_option(), study_folder()
    test = "public hold-out: a folder, an .npz file, a table, or a .toml that describes it"
    source = "public weights to start from: a file, timm:NAME, torchvision:NAME, or one of these names with =FILE"
    commands.add("submit", submit, access, folder, _no_gram(), later=_settings_options, interrupted=SUBMITTED)
    commands.add("status", status, access, folder)
    commands.add(
        "train",
        train,
        access,
        folder,
        option("--min_clients", "least hospitals in a round", kind=int, default=2),
        option("--test", test, kind=path, required=True),
        option("--seed", "of the initial weights", kind=int, default=0),
        option("--initial_weights", source, value="SOURCE"),
        option("--initial_weights_sha256", "of their file; needed with them", value="HEX"),
        backbone_weights(),
        option("--gram", "folder of a Gram matrix, for recipe few_rounds; the study keeps it", kind=path),
        later=partial(_settings_options, waiting=True),
        interrupted=GOES_ON,
    )
    commands.add("end", end, access, folder, interrupted=TOLD)


def _no_gram() -> click.Option:
    """Refuses `--gram` at `submit` with where it belongs; no help lists it."""

    def refuse(_: click.Context, __: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(
                "A matrix is not submitted with the study. Give --gram to train, with the same --out."
            )

    return click.Option(["--gram"], hidden=True, expose_value=False, callback=refuse)


def _settings_options(*, waiting: bool = False) -> list[click.Parameter]:
    from researcher.cli.setting_options import study_options, waiting_options

    return [*(waiting_options() if waiting else []), *study_options()]
