"""Commands that measure: `statistics`, `evaluate`. From hospitals come noised counts, approved and charged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from policies.errors import ConfigError
from policies.terminal.commands import argument, option, option_of, path, switch
from policies.terminal.printing import say, say_json
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import ResearcherCommands, backbone_weights

if TYPE_CHECKING:
    from pathlib import Path

    from researcher.planning.count_settings import CountSettings
    from researcher.studies.checkpoints import Checkpoint

EVALUATION_FOLDER = "out/evaluation"


def statistics(*, credentials: Sequence[str], out: Path, **settings: Any) -> None:
    """Asks the hospitals for noised counts of labels and picture statistics, before a study is spent on them."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.counting_session import ask_for_statistics

    with connect(credentials) as federation:
        ask_for_statistics(federation, _settings(settings), out=out, console=PlainConsole())


def evaluate(
    *,
    model_file: Path,
    at_hospitals: bool,
    test: Path | None,
    backbone_weights: str | None,
    credentials: Sequence[str],
    out: Path | None,
    **settings: Any,
) -> None:
    """Evaluates a saved global model on a public hold-out, or with --at_hospitals on the hospitals' own pictures."""
    from researcher.studies.checkpoints import load_model

    of_hold_out = {"test": test, "backbone_weights": backbone_weights}
    of_hospitals = {"credentials": credentials, "out": out, **settings}
    unused = [
        name for name, value in (of_hold_out if at_hospitals else of_hospitals).items() if value not in (None, ())
    ]
    if unused:
        raise click.UsageError(f"--{unused[0]} goes {'without' if at_hospitals else 'with'} --at_hospitals.")
    checkpoint = load_model(model_file)
    if not at_hospitals:
        if test is None:
            raise ConfigError("Give a public hold-out with --test, or --at_hospitals.")
        _evaluate_here(checkpoint, test, backbone_weights)
        return
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.counting_session import ask_for_evaluation

    with connect(credentials) as federation:
        folder = out or path(EVALUATION_FOLDER)
        ask_for_evaluation(federation, checkpoint, _settings(settings), out=folder, console=PlainConsole())


def _evaluate_here(checkpoint: Checkpoint, test: Path, backbone: str | None) -> None:
    """Prints a model's scores on a public hold-out."""
    from researcher.evaluation.evaluation import evaluate as score
    from researcher.evaluation.feature_hold_out import with_features
    from researcher.evaluation.hold_out import load_hold_out

    hold_out = load_hold_out(
        test, class_names=checkpoint.class_names, image_shape=checkpoint.model.image_shape, form=checkpoint.form
    )
    for told in hold_out.told():
        say(told, to_errors=True)
    hold_out = with_features(hold_out, checkpoint.model, backbone)
    scores = score(checkpoint.model, checkpoint.weights, hold_out)
    names = checkpoint.class_names
    summary: dict[str, object] = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1}
    if scores.findings:
        findings = {name: vars(finding) for name, finding in zip(names, scores.findings, strict=True)}
        summary |= {"macro_auroc": scores.macro_auroc, "findings": findings}
    else:
        recall = {name: None if math.isnan(share) else share for name, share in zip(names, scores.recall, strict=True)}
        if absent := [name for name, share in recall.items() if share is None]:
            say(f"The hold-out has no picture of {', '.join(absent)}: nothing can be said of it.", to_errors=True)
        summary |= {"recall": recall}
    say_json({**summary, "pictures": len(hold_out.labels)}, indent=2)


def _settings(given: Mapping[str, Any]) -> CountSettings:
    from researcher.cli.statement_options import taken_from
    from researcher.planning.count_settings import CountSettings

    given = dict(given)
    statement = taken_from(given)
    return CountSettings(statement=statement, **{name: value for name, value in given.items() if value is not None})


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    folder = option("--out", "folder", kind=path, default="out/statistics")
    commands.add("statistics", statistics, credentials_option(), folder, later=_counting_options)
    commands.add(
        "evaluate",
        evaluate,
        credentials_option(),
        argument("model_file", "global model, .safetensors", kind=path),
        option("--test", "public hold-out: a folder, an .npz file, a table, or a .toml that describes it", kind=path),
        backbone_weights(),
        switch("--at_hospitals", "on the hospitals' pictures; needs their approval"),
        option("--out", f"folder (default {EVALUATION_FOLDER})", kind=path),
        later=_counting_options,
    )


def _counting_options() -> list[click.Parameter]:
    from policies.plans.words.statement import STATEMENT
    from policies.settings import declared
    from researcher.cli.statement_options import statement_options
    from researcher.planning.count_settings import CountSettings

    own = [one for one in declared(CountSettings).values() if one.name != STATEMENT.name]
    return [*map(option_of, own), *statement_options()]
