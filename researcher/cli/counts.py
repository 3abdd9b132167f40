"""Commands that measure: `statistics`, `gram`, `evaluate`. From hospitals come noised counts, approved and charged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from policies.errors import ConfigError
from policies.terminal.commands import argument, option, path, switch
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import GOES_ON, ResearcherCommands, backbone_weights, model_option

if TYPE_CHECKING:
    from pathlib import Path

    from researcher.hospitals.federation import Federation

EVALUATION_FOLDER = "out/evaluation"
_OF_JUDGEMENT = (
    "calibrate_on",
    "against",
    "about",
    "patient_column",
    "site_column",
    "group_column",
    "draws",
    "seed",
)
TEST_DATA = "public test data: a folder, DICOM files, a table, an .npz file, or a .toml that describes it"


def statistics(*, credentials: Sequence[str], out: Path, min_clients: int | None, **settings: Any) -> None:
    """Asks the hospitals for noised counts of labels and picture statistics, before a study is spent on them."""
    _ask(credentials, out, min_clients, settings, of_gram=False)


def gram(*, credentials: Sequence[str], out: Path, min_clients: int | None, **settings: Any) -> None:
    """Asks the hospitals once for the noised Gram matrix of a head's features, which few_rounds studies step by."""
    settings["options"] = dict(settings.pop("model_option"))
    _ask(credentials, out, min_clients, settings, of_gram=True)


def _ask(
    credentials: Sequence[str], out: Path, min_clients: int | None, given: Mapping[str, Any], *, of_gram: bool
) -> None:
    settings = _settings(given, of_gram=of_gram)
    with connect(credentials, announced=True) as federation:
        from policies.terminal.rich_terminal import PlainConsole
        from researcher.terminal import counting_session

        _check_enough(federation, min_clients)
        ask = counting_session.ask_for_gram if of_gram else counting_session.ask_for_statistics
        ask(federation, settings, out=out, console=PlainConsole(), min_clients=min_clients)


def evaluate(
    *,
    at_hospitals: bool,
    credentials: Sequence[str],
    out: Path | None,
    model_file: Path | None = None,
    model_path: Path | None = None,
    test: Path | None = None,
    backbone_weights: str | None = None,
    json: Path | None = None,
    html: Path | None = None,
    accept: tuple[str, ...] = (),
    **more: Any,
) -> None:
    """Evaluates a model on public test data, or with --at_hospitals a global model on the hospitals' own pictures."""
    model = model_file or model_path
    if model is None:
        raise click.UsageError("Give the model: --model_path FILE.")
    if model_file and model_path:
        raise click.UsageError(f"Two models are given, {model_file} and {model_path}. Give one, and another --against.")
    of_judgement = {name: more.pop(name, None) for name in _OF_JUDGEMENT}
    of_hold_out = {"test": test, "backbone_weights": backbone_weights, "json": json, "html": html, **of_judgement}
    of_hold_out["accept"] = accept
    of_hospitals = {"credentials": credentials, "out": out, **more}
    unused = [
        name for name, value in (of_hold_out if at_hospitals else of_hospitals).items() if value not in (None, ())
    ]
    if unused:
        raise click.UsageError(f"--{unused[0]} goes {'without' if at_hospitals else 'with'} --at_hospitals.")
    if not at_hospitals:
        weights = backbone_weights
        _evaluate_here(model, test, of_judgement, json=json, html=html, backbone_weights=weights, accept=accept)
        return
    from researcher.studies.checkpoints import load_model

    checkpoint, enough = load_model(model), more.pop("min_clients", None)
    settings = _settings(more)
    with connect(credentials, announced=True) as federation:
        from policies.terminal.rich_terminal import PlainConsole
        from researcher.terminal.counting_session import ask_for_evaluation

        _check_enough(federation, enough)
        folder = out or path(EVALUATION_FOLDER)
        ask_for_evaluation(federation, checkpoint, settings, out=folder, console=PlainConsole(), min_clients=enough)


def _check_enough(federation: Federation, min_clients: int | None) -> None:
    """Refuses a `min_clients` that cannot be met, before anything is submitted."""
    from researcher.cli.study_options import check_min_clients

    if min_clients is not None:
        names = [*federation.hospitals, *federation.missing]
        check_min_clients(min_clients, names)
        federation.check_enough(min_clients, names)


def _evaluate_here(
    model: Path,
    test: Path | None,
    of_judgement: Mapping[str, Any],
    *,
    json: Path | None,
    html: Path | None,
    backbone_weights: str | None,
    accept: tuple[str, ...],
) -> None:
    """Short scores; or, where one is to be written, a judgement."""
    if test is None:
        raise ConfigError("Give public test data with --test_data, or --at_hospitals.")
    given = {name: value for name, value in of_judgement.items() if value not in (None, ())}
    if json is None and html is None:
        if given:
            raise click.UsageError(f"--{next(iter(given))} goes with --json or --html, which say what it finds.")
        from researcher.terminal.short_scores import say_scores

        say_scores(model, test, backbone_weights, accept)
    else:
        from researcher.terminal.judging_session import judge_and_write

        given |= {"backbone_weights": backbone_weights, "accept": accept}
        judge_and_write(model, test, json=json, html=html, **given)


def _settings(given: Mapping[str, Any], *, of_gram: bool = False) -> Any:
    """What the options ask for, of counts or of a Gram matrix."""
    from researcher.cli.study_options import taken_from
    from researcher.planning import count_settings

    given = dict(given)
    statement = taken_from(given)
    kind = count_settings.GramSettings if of_gram else count_settings.CountSettings
    return kind(statement=statement, **{name: value for name, value in given.items() if value is not None})


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    folder = option("--out", "folder", kind=path, default="out/statistics")
    enough = option("--min_clients", "so many approvals are enough; without it every hospital is waited for", kind=int)
    commands.add(
        *("statistics", statistics), credentials_option(), folder, enough, later=_counting_options, interrupted=GOES_ON
    )
    kept = option("--out", "folder of the matrix", kind=path, default="out/gram")
    of_gram = partial(_counting_options, of_gram=True)
    commands.add("gram", gram, credentials_option(), kept, enough, later=of_gram, interrupted=GOES_ON)
    commands.add(
        "evaluate",
        evaluate,
        credentials_option(),
        argument("model_file", "the model, where --model_path is not given", kind=path, required=False),
        option("--model_path", "the model: .safetensors, or .onnx in float or int8", kind=path),
        option("--test_data", TEST_DATA, name="test", also="--test", kind=path),
        backbone_weights(),
        *_judging_options(),
        switch("--at_hospitals", "on the hospitals' pictures; needs their approval"),
        option("--out", f"folder (default {EVALUATION_FOLDER})", kind=path),
        enough,
        later=_counting_options,
        interrupted="What hospitals were asked for is kept, and a written file is whole; run the command again.",
    )


def _judging_options() -> list[click.Parameter]:
    """What a judgement takes besides a model and test data."""
    return [
        option("--json", "write the judgement as JSON into this file", kind=path, value="FILE"),
        option("--html", "write it as a page into this file", kind=path, value="FILE"),
        option("--calibrate_on", "other public pictures, to choose a temperature on", kind=path, value="DATA"),
        option("--against", "another model, compared on the same pictures", kind=path, value="MODEL"),
        option("--about", "table with the column 'path' and those below, if not --test_data's own", kind=path),
        option("--patient_column", "whose each picture is (default patient, where there is one)"),
        option("--site_column", "which hospital's each picture is (default site, where there is one)"),
        option("--group_column", "scores by its values, such as sex; may be given again", repeated=True),
        option("--draws", "of the intervals' bootstrap, from 20 on (default 1000)", kind=int),
        option("--seed", "of these draws (default 0)", kind=int),
        option("--accept", "judge all the same", choices=["same_picture_in_two_classes"], repeated=True),
    ]


def _counting_options(*, of_gram: bool = False) -> list[click.Parameter]:
    from researcher.cli.setting_options import own_options, statement_options
    from researcher.planning import declared_settings

    own = own_options(declared_settings.GRAM if of_gram else declared_settings.COUNTS)
    return [*own, *([model_option()] if of_gram else []), *statement_options()]
