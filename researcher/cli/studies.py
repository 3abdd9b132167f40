"""Commands about a study: `submit`, `status`, `train`, `end`. A plan and weights go out, checked updates come back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from policies.terminal.printing import say
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import Commands, add_backbone_weights, study_folder
from researcher.cli.wishes import add_wishes, wishes_of

if TYPE_CHECKING:
    import numpy as np

    from researcher.hospitals.federation import Federation
    from researcher.studies.study import Study


def submit(options: argparse.Namespace) -> None:
    """Submits a study to every hospital and returns; the hospitals decide."""
    with connect(options) as federation:
        _submit(options, federation)


def status(options: argparse.Namespace) -> None:
    """Shows what the hospitals decided, how many rounds are done, and which a hospital was missing from, and why."""
    from researcher.studies.checkpoints import load_state
    from researcher.studies.study import Study

    with connect(options) as federation:
        study = Study.load(federation, options.out)
        for name, (state, reason) in study.decisions().items():
            say(f"{name}: {study.requests[name].request_id[:8]} {state} {reason}".rstrip())
    if saved := load_state(options.out, plan_digest=study.plan.digest()):
        given_up = sum(not record.datasites for record in saved[1].records)
        without = f", {given_up} of them given up: the model stayed as it was" if given_up else ""
        say(f"{len(saved[1])} of {study.plan.rounds} rounds done{without}")
        for record in saved[1].records:
            for name, reason in record.skipped.items():
                say(f"round {record.round} without {name}: {reason}")


def train(options: argparse.Namespace) -> None:
    """Submits the study unless that was done, waits for the decisions, and runs the rounds."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.evaluation.feature_hold_out import with_features
    from researcher.evaluation.hold_out import load_hold_out
    from researcher.studies.study import STUDY_FILE, Study
    from researcher.terminal.training_session import train_study

    with connect(options) as federation:
        if (options.out / STUDY_FILE).exists():
            study = Study.load(federation, options.out)
        else:
            study = _submit(options, federation)
        info = next(iter(federation.hospitals.values())).datasets[study.plan.dataset]
        hold_out = load_hold_out(options.test, class_names=info.class_names, image_shape=info.image_shape)
        hold_out = with_features(hold_out, study.plan.model, options.backbone_weights)
        train_study(
            study,
            hold_out,
            console=PlainConsole(),
            min_clients=options.min_clients,
            seed=options.seed,
            out=options.out,
            initial_weights=first_weights(options, study),
        )


def end(options: argparse.Namespace) -> None:
    """Tells the hospitals that no further round comes; what was reserved and not used becomes free."""
    from researcher.studies.study import Study

    with connect(options) as federation:
        Study.load(federation, options.out).end()


def first_weights(options: argparse.Namespace, study: Study) -> Mapping[str, np.ndarray] | None:
    """Public weights to start from, each of its parameter's shape; None to start at random, or to go on."""
    from researcher.planning.initial_weights import load_initial_weights
    from researcher.studies.checkpoints import STATE_FILE

    if options.initial_weights is None or (options.out / STATE_FILE).exists():
        return None
    public = load_initial_weights(
        study.plan.model,
        options.initial_weights,
        sha256=options.initial_weights_sha256 or "",
        seed=options.seed,
    )
    public.save_record(options.out)
    loaded = len(public.weights) - len(public.not_loaded)
    drawn = ", ".join(public.not_loaded) or "none"
    say(f"Starting from {public.source}: {loaded} of {len(public.weights)} parameters; at random: {drawn}.")
    return public.weights


def _submit(options: argparse.Namespace, federation: Federation) -> Study:
    from researcher.planning.planning import make_plan, study_epsilon
    from researcher.reports import wording
    from researcher.studies.study import Study

    offered = [found for found in federation.datasets() if not options.dataset or found.name == options.dataset]
    plan = make_plan(wishes_of(options), offered)
    study = Study.submit(federation, plan, options.out)
    epsilon = study_epsilon(plan)
    cost = (
        "without differential privacy"
        if epsilon is None
        else f"epsilon {wording.epsilon(epsilon)} at delta {options.delta:g}"
    )
    say(f"Submitted '{plan.study}': {plan.rounds} rounds of {plan.steps_per_round} steps, {cost}.")
    for name, request in study.requests.items():
        say(f"  {name}: request {request.request_id[:8]}, waiting for the hospital's decision")
    return study


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    access, folder, wishes = credentials_option(), study_folder(), argparse.ArgumentParser(add_help=False)
    add_wishes(wishes)
    commands.add("submit", submit, access, folder, wishes)
    commands.add("status", status, access, folder)
    training = commands.add("train", train, access, folder, wishes)
    training.add_argument("--min_clients", type=int, default=2, help="least hospitals in a round (default 2)")
    training.add_argument("--test", type=Path, required=True, help="public hold-out: a folder or an .npz file")
    training.add_argument("--seed", type=int, default=0, help="of the initial weights (default 0)")
    training.add_argument(
        "--initial_weights",
        metavar="SOURCE",
        help="public weights to start from: a file, timm:NAME, torchvision:NAME, or one of these names with =FILE",
    )
    training.add_argument("--initial_weights_sha256", metavar="HEX", help="of their file; needed with them")
    add_backbone_weights(training)
    commands.add("end", end, access, folder)
