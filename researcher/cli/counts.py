"""Commands that measure: `statistics`, `evaluate`. From hospitals come noised counts, approved and charged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from policies.errors import ConfigError
from policies.terminal.printing import say_json
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import Commands, add_backbone_weights

if TYPE_CHECKING:
    from researcher.studies.checkpoints import Checkpoint
    from researcher.terminal.counting_session import CountWishes


def statistics(options: argparse.Namespace) -> None:
    """Asks the hospitals for noised class counts and picture statistics, before a study is spent on them."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.counting_session import ask_for_statistics

    with connect(options) as federation:
        ask_for_statistics(federation, _wishes(options), out=options.out, console=PlainConsole())


def evaluate(options: argparse.Namespace) -> None:
    """Evaluates a saved global model on a public hold-out, or with --at_hospitals on the hospitals' own pictures."""
    from researcher.studies.checkpoints import load_model

    checkpoint = load_model(options.model_file)
    if not options.at_hospitals:
        _evaluate_here(checkpoint, options)
        return
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.counting_session import ask_for_evaluation

    with connect(options) as federation:
        ask_for_evaluation(federation, checkpoint, _wishes(options), out=options.out, console=PlainConsole())


def _evaluate_here(checkpoint: Checkpoint, options: argparse.Namespace) -> None:
    """Prints a model's scores on a public hold-out."""
    from researcher.evaluation.evaluation import evaluate as score
    from researcher.evaluation.feature_hold_out import with_features
    from researcher.evaluation.hold_out import load_hold_out

    if options.test is None:
        raise ConfigError("Give a public hold-out with --test, or --at_hospitals.")
    hold_out = load_hold_out(options.test, class_names=checkpoint.class_names, image_shape=checkpoint.model.image_shape)
    hold_out = with_features(hold_out, checkpoint.model, options.backbone_weights)
    scores = score(checkpoint.model, checkpoint.weights, hold_out)
    recall = dict(zip(checkpoint.class_names, map(float, scores.recall), strict=True))
    summary = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "recall": recall}
    say_json({**summary, "pictures": len(hold_out.labels)}, indent=2)


def _wishes(options: argparse.Namespace) -> CountWishes:
    from researcher.terminal.counting_session import CountWishes

    return CountWishes(options.study, options.dataset, options.noise_multiplier, options.delta)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    access, counting = credentials_option(), _counting_options()
    asking = commands.add("statistics", statistics, access, counting)
    asking.add_argument("--out", type=Path, default=Path("out/statistics"), help="folder (default out/statistics)")
    scoring = commands.add("evaluate", evaluate, access, counting)
    scoring.add_argument("model_file", type=Path, help="global model, .safetensors")
    scoring.add_argument("--test", type=Path, help="public hold-out: a folder or an .npz file")
    add_backbone_weights(scoring)
    scoring.add_argument("--at_hospitals", action="store_true", help="on the hospitals' pictures; needs their approval")
    scoring.add_argument("--out", type=Path, default=Path("out/evaluation"), help="folder (default out/evaluation)")


def _counting_options() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--study", default="study", help="name of the study that pays for it")
    shared.add_argument("--dataset", help="name of the dataset, where a hospital publishes several")
    shared.add_argument("--noise_multiplier", type=float, default=20.0, help="noise on the counts (default 20)")
    shared.add_argument("--delta", type=float, default=1e-5, help="at which epsilon is stated (default 1e-5)")
    return shared
