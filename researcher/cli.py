"""The researcher's commands."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.encodings import ENCODINGS
from policies.errors import ConfigError, WanwuError
from policies.plan import ENGINES, PRECISIONS, RunSpec

if TYPE_CHECKING:
    import numpy as np

    from researcher.federation import Federation
    from researcher.study import Study

_CREDENTIALS = "state/*/credentials/*.json"
_BACKBONE_HELP = "public weights of a features model's backbone, to evaluate on the hold-out"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore", module=r"(syft|opacus|requests)\..*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a datasite that is out of reach is told once, by us
    try:
        options.command(options)
    except WanwuError as error:
        print(f"{error.code}: {error.public}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. What was reached is saved; run the command again to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def catalog(options: argparse.Namespace) -> None:
    """Shows what the hospitals publish and what is left of their budgets."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (
        "datasite",
        "dataset",
        "pictures",
        "classes",
        "unit",
        "public size",
        "epsilon left",
        "least noise",
    ):
        table.add_column(column, overflow="fold")
    with _connect(options) as federation:
        for dataset in federation.datasets():
            budget = federation.hospitals[dataset.datasite].wire.budget(dataset.name)
            table.add_row(
                dataset.datasite,
                dataset.name,
                "x".join(map(str, dataset.image_shape)) + (f" and {dataset.text.length} words" if dataset.text else ""),
                ", ".join(dataset.class_names),
                dataset.unit,
                str(dataset.public_size),
                f"{budget['epsilon_left']:.2f} of {budget['epsilon_total']:g}",
                f"{dataset.limits['min_noise_multiplier']:g}",
            )
    Console().print(table)


def check(options: argparse.Namespace) -> None:
    """Looks at every hospital before a study: reachable, versions, clock, speed, datasets. Status 1 on a problem."""
    from rich.console import Console

    from researcher.federation import check_all
    from researcher.hospital_check import table

    checks = check_all(options.files or [_CREDENTIALS])
    if options.json:
        print(json.dumps([one.to_dict() for one in checks], indent=2))
    else:
        Console().print(table(checks))
    if any(one.problems for one in checks):
        sys.exit(1)


def submit(options: argparse.Namespace) -> None:
    """Submits a study to every hospital and returns; the hospitals decide."""
    with _connect(options) as federation:
        _submit(options, federation)


def status(options: argparse.Namespace) -> None:
    """Shows what the hospitals decided."""
    from researcher.study import Study

    with _connect(options) as federation:
        study = Study.load(federation, options.out)
        for name, (state, reason) in study.decisions().items():
            print(f"{name}: {study.requests[name].request_id[:8]} {state} {reason}".rstrip())


def train(options: argparse.Namespace) -> None:
    """Submits the study unless that was done, waits for the decisions, and runs the rounds."""
    from rich.console import Console

    from researcher.feature_hold_out import with_features
    from researcher.hold_out import load_hold_out
    from researcher.study import STUDY_FILE, Study
    from researcher.training_session import train_study

    with _connect(options) as federation:
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
            console=Console(),
            min_clients=options.min_clients,
            seed=options.seed,
            out=options.out,
            initial_weights=_initial_weights(options, study),
        )


def statistics(options: argparse.Namespace) -> None:
    """Asks the hospitals for noised class counts and picture statistics, before a study is spent on them."""
    from rich.console import Console

    from researcher import counts_cli

    with _connect(options) as federation:
        counts_cli.statistics(federation, options, Console())


def evaluate(options: argparse.Namespace) -> None:
    """Evaluates a saved global model on a public hold-out, or with --at_hospitals on the hospitals' own pictures."""
    from rich.console import Console

    from researcher import counts_cli
    from researcher.checkpoints import load_model
    from researcher.evaluation import evaluate as score
    from researcher.feature_hold_out import with_features
    from researcher.hold_out import load_hold_out

    checkpoint = load_model(options.model_file)
    if options.at_hospitals:
        with _connect(options) as federation:
            counts_cli.evaluate_at_hospitals(federation, checkpoint, options, Console())
        return
    if options.test is None:
        raise ConfigError("Give a public hold-out with --test, or --at_hospitals.")
    hold_out = load_hold_out(options.test, class_names=checkpoint.class_names, image_shape=checkpoint.model.image_shape)
    hold_out = with_features(hold_out, checkpoint.model, options.backbone_weights)
    scores = score(checkpoint.model, checkpoint.weights, hold_out)
    recall = dict(zip(checkpoint.class_names, map(float, scores.recall), strict=True))
    summary = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "recall": recall}
    print(json.dumps({**summary, "pictures": len(hold_out.labels)}, indent=2))


def receipts(options: argparse.Namespace) -> None:
    """Fetches the hospitals' signed privacy receipts of the study, with their public keys."""
    from researcher.submission import Submission

    with _connect(options) as federation:
        for file in Submission.load(federation, options.out).receipts(options.out / "receipts"):
            print(file)


def verify_receipt(options: argparse.Namespace) -> None:
    """Checks a receipt with the datasite's published key alone."""
    from policies.receipt import verify

    try:
        key = options.key.read_text().strip() if options.key.is_file() else str(options.key)
        receipt = verify(options.file.read_text(), key)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read.") from error
    cost = "without differential privacy"
    if receipt.epsilon is not None:
        cost = f"epsilon {receipt.epsilon:.3f} at delta {receipt.delta:g} per {receipt.unit}"
    print(f"Valid: {receipt.datasite} states {len(receipt.rounds)} round(s) of '{receipt.study}', {cost}.")


def end(options: argparse.Namespace) -> None:
    """Tells the hospitals that no further round comes; what was reserved and not used becomes free."""
    from researcher.study import Study

    with _connect(options) as federation:
        Study.load(federation, options.out).end()


def demo(options: argparse.Namespace) -> None:
    """Runs the main job: hospitals, a study, approvals, rounds, a report."""
    from researcher.demo import run_demo

    run_demo(
        data=options.data,
        test=options.test,
        out=options.out,
        num_rounds=options.num_rounds,
        port=options.port,
    )


def _connect(options: argparse.Namespace) -> Federation:
    from researcher.federation import Federation

    return Federation.connect(options.credentials or [_CREDENTIALS])


def _initial_weights(options: argparse.Namespace, study: Study) -> Mapping[str, np.ndarray] | None:
    """Public weights to start from, with their record in the study's folder; None to start at random, or to go on."""
    from researcher.checkpoints import STATE_FILE
    from researcher.pretrained import load_initial_weights

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
    print(f"Starting from {public.source}: {loaded} of {len(public.weights)} parameters; at random: {drawn}.")
    return public.weights


_DERIVED = (
    "local_epochs",
    "sample_rate",
    "noise_multiplier",
    "max_grad_norm",
    "learning_rate",
    "momentum",
    "augmentation_multiplicity",
    "server_momentum",
    "server_averaging",
)
"""Options that a recipe sets."""


def _recipe(options: argparse.Namespace) -> str:
    """The recipe, once no option contradicts it."""
    plain = argparse.ArgumentParser()
    _add_wishes(plain)
    given = [name for name in _DERIVED if getattr(options, name) != plain.get_default(name)]
    if options.recipe != "none" and given:
        raise ConfigError(f"--{given[0]} is derived by --recipe {options.recipe}. Leave out one of the two.")
    return str(options.recipe)


def _submit(options: argparse.Namespace, federation: Federation) -> Study:
    from researcher.planning import Wishes, make_plan, study_epsilon
    from researcher.reports import wording
    from researcher.study import Study

    wishes = Wishes(
        study=options.study,
        model=options.model,
        options=dict(options.model_option),
        recipe=_recipe(options),
        num_rounds=options.num_rounds,
        local_epochs=options.local_epochs,
        sample_rate=options.sample_rate,
        epsilon=None if options.no_dp else options.epsilon,
        noise_multiplier=None if options.no_dp else options.noise_multiplier,
        delta=options.delta,
        max_grad_norm=options.max_grad_norm,
        learning_rate=options.learning_rate,
        momentum=options.momentum,
        augmentation=options.augmentation,
        augmentation_multiplicity=options.augmentation_multiplicity,
        server_momentum=options.server_momentum,
        server_averaging=options.server_averaging,
        weights_encoding=options.weights_encoding,
        update_encoding=options.update_encoding,
        run=RunSpec(
            physical_batch_size=options.physical_batch_size, engine=options.engine, precision=options.precision
        ),
    )
    plan = make_plan(wishes, [d for d in federation.datasets() if not options.dataset or d.name == options.dataset])
    study = Study.submit(federation, plan, options.out)
    epsilon = study_epsilon(plan)
    cost = (
        "without differential privacy"
        if epsilon is None
        else f"epsilon {wording.epsilon(epsilon)} at delta {options.delta:g}"
    )
    print(f"Submitted '{plan.study}': {plan.rounds} rounds of {plan.steps_per_round} steps, {cost}.")
    for name, request in study.requests.items():
        print(f"  {name}: request {request.request_id[:8]}, waiting for the hospital's decision")
    return study


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m researcher", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    access = argparse.ArgumentParser(add_help=False)
    access.add_argument(
        "--credentials",
        nargs="+",
        metavar="FILE",
        help=f"credentials files or a pattern (default {_CREDENTIALS})",
    )
    kept = argparse.ArgumentParser(add_help=False)
    kept.add_argument("--out", type=Path, default=Path("out/study"), help="folder of the study (default out/study)")

    def add(name: str, command: Callable[[argparse.Namespace], None], *parents: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=list(parents), help=command.__doc__)
        added.set_defaults(command=command)
        return added

    wishes = argparse.ArgumentParser(add_help=False)
    _add_wishes(wishes)
    add("catalog", catalog, access)
    looking = add("check", check)
    looking.add_argument(
        "files", nargs="*", metavar="CREDENTIALS", help=f"credentials files or patterns (default {_CREDENTIALS})"
    )
    looking.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add("submit", submit, access, kept, wishes)
    add("status", status, access, kept)
    training = add("train", train, access, kept, wishes)
    training.add_argument("--min_clients", type=int, default=2, help="least hospitals in a round (default 2)")
    training.add_argument("--test", type=Path, required=True, help="public hold-out: a folder or an .npz file")
    training.add_argument("--seed", type=int, default=0, help="of the initial weights (default 0)")
    training.add_argument(
        "--initial_weights",
        metavar="SOURCE",
        help="public weights to start from: a file, timm:NAME, torchvision:NAME, or one of these names with =FILE",
    )
    training.add_argument("--initial_weights_sha256", metavar="HEX", help="of their file; needed with them")
    training.add_argument("--backbone_weights", metavar="SOURCE", help=_BACKBONE_HELP)
    add("end", end, access, kept)
    add("receipts", receipts, access, kept)
    paper = commands.add_parser("receipt", help="A privacy receipt.").add_subparsers(required=True, metavar="COMMAND")
    checking = paper.add_parser("verify", help=verify_receipt.__doc__)
    checking.set_defaults(command=verify_receipt)
    checking.add_argument("file", type=Path, help="the receipt")
    checking.add_argument("--key", type=Path, required=True, help="the datasite's public key: a file, or hexadecimal")
    counting = argparse.ArgumentParser(add_help=False)
    counting.add_argument("--study", default="study", help="name of the study that pays for it")
    counting.add_argument("--dataset", help="name of the dataset, where a hospital publishes several")
    counting.add_argument("--noise_multiplier", type=float, default=20.0, help="noise on the counts (default 20)")
    counting.add_argument("--delta", type=float, default=1e-5, help="at which epsilon is stated (default 1e-5)")
    surveying = add("statistics", statistics, access, counting)
    surveying.add_argument("--out", type=Path, default=Path("out/statistics"), help="folder (default out/statistics)")
    scoring = add("evaluate", evaluate, access, counting)
    scoring.add_argument("model_file", type=Path, help="global model, .safetensors")
    scoring.add_argument("--test", type=Path, help="public hold-out: a folder or an .npz file")
    scoring.add_argument("--backbone_weights", metavar="SOURCE", help=_BACKBONE_HELP)
    scoring.add_argument("--at_hospitals", action="store_true", help="on the hospitals' pictures; needs their approval")
    scoring.add_argument("--out", type=Path, default=Path("out/evaluation"), help="folder (default out/evaluation)")
    showing = add("demo", demo)
    showing.add_argument("--data", type=Path, help="FOLDER/<hospital>/<class>/* or an .npz file (default: drawn)")
    showing.add_argument("--test", type=Path, help="public hold-out in the same form")
    showing.add_argument("--out", type=Path, default=Path("out/demo"), help="where to write (default out/demo)")
    showing.add_argument("--num_rounds", type=int, help="rounds (default: the recipe's)")
    showing.add_argument("--port", type=int, default=8081, help="first port of the hospitals (default 8081)")
    return parser


def _model_option(text: str) -> tuple[str, str | int | float | bool]:
    """`NAME=VALUE` with a value as JSON has it, else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, str | int | float | bool) else value


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", default="study", help="name of the study")
    parser.add_argument("--dataset", help="name of the dataset, where a hospital publishes several")
    parser.add_argument("--model", default="small_cnn", help="model (default small_cnn)")
    parser.add_argument(
        "--model_option",
        type=_model_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the model; may be given again",
    )
    parser.add_argument(
        "--recipe",
        default="none",
        choices=("none", "auto"),
        help="auto: all settings of training from sizes, epsilon, delta, rounds and model (default none)",
    )
    parser.add_argument("--num_rounds", type=int, help="rounds (default 5, or the recipe's)")
    parser.add_argument("--local_epochs", type=float, default=1.0, help="passes over the pictures a round (default 1)")
    parser.add_argument("--sample_rate", type=float, default=0.1, help="share of the units a step draws (default 0.1)")
    parser.add_argument("--epsilon", type=float, default=3.0, help="cost of the whole study (default 3)")
    parser.add_argument("--noise_multiplier", type=float, help="the noise itself, instead of --epsilon")
    parser.add_argument("--delta", type=float, default=1e-5, help="at which epsilon is stated (default 1e-5)")
    parser.add_argument("--max_grad_norm", type=float, default=1.0, help="clipping bound (default 1)")
    parser.add_argument("--learning_rate", type=float, default=0.5, help="of the local optimiser (default 0.5)")
    parser.add_argument("--momentum", type=float, default=0.0, help="of the local optimiser (default 0)")
    parser.add_argument(
        "--augmentation",
        default="none",
        choices=("none", "flips", "flips_and_turns"),
        help="of drawn pictures",
    )
    parser.add_argument(
        "--augmentation_multiplicity",
        type=int,
        default=1,
        help="views of each drawn picture in a step (default 1)",
    )
    parser.add_argument(
        "--server_momentum", type=float, default=0.0, help="share of the last mean update that is kept (default 0)"
    )
    parser.add_argument(
        "--server_averaging",
        type=float,
        default=0.0,
        help="share of the last average that the global model, averaged over rounds, keeps (default 0: no average)",
    )
    for what, told in (("weights", "global weights"), ("update", "client updates")):
        parser.add_argument(
            f"--{what}_encoding",
            default="none",
            choices=ENCODINGS,
            help=f"how {told} travel: zstd is lossless, fp16 and int8 are rounded (default none)",
        )
    parser.add_argument("--engine", choices=ENGINES, default="book_keeping", help="of private steps, same results")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of a private step's model")
    parser.add_argument("--physical_batch_size", type=int, default=64, help="most pictures in memory (default 64)")
    parser.add_argument("--no-dp", action="store_true", help="no differential privacy; most hospitals refuse that")
