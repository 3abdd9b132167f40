"""An evaluation on public test data in the terminal: short scores as JSON, or a judgement in sentences and files."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from policies.terminal.printing import say, say_json
from researcher.evaluation.copies import refuse_two_classes
from researcher.evaluation.evaluation import scores_of
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.judge import judge
from researcher.judgement.opened_model import open_model
from researcher.judgement.pages.sentences import plainly
from researcher.judgement.test_data import About, load_test_data


def say_scores(model_path: Path, test_data: Path, backbone_weights: str | None, accept: Collection[str] = ()) -> None:
    """Prints a model's scores, without their intervals, as JSON.

    Raises:
        WanwuError: As `judge`.
    """
    model = open_model(model_path)
    hold_out = load_test_data(test_data, model, backbone_weights=backbone_weights).hold_out
    refuse_two_classes(hold_out.copies(), str(test_data), accept)
    for told in hold_out.told():
        say(told, to_errors=True)
    scores, names = scores_of(hold_out.labels, model.probabilities(hold_out)), model.about.class_names
    summary: dict[str, object] = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1}
    if scores.findings:
        findings = {name: vars(finding) for name, finding in zip(names, scores.findings, strict=True)}
        summary |= {"macro_auroc": scores.macro_auroc, "findings": findings}
    else:
        recall = {name: None if math.isnan(share) else share for name, share in zip(names, scores.recall, strict=True)}
        summary |= {"recall": recall}
    say_json({**summary, "pictures": len(hold_out.labels)}, indent=2)


def judge_and_write(
    model_path: Path,
    test_data: Path,
    *,
    json: Path | None,
    html: Path | None,
    backbone_weights: str | None,
    calibrate_on: Path | None = None,
    against: Path | None = None,
    about: Path | None = None,
    patient_column: str = "",
    site_column: str = "",
    group_column: Sequence[str] = (),
    draws: int = Bootstrap.draws,
    seed: int = Bootstrap.seed,
    accept: Collection[str] = (),
) -> None:
    """Judges a model, says it in sentences, and writes it as JSON and as a page.

    Raises:
        WanwuError: As `judge`, or a file cannot be written.
    """
    judgement = judge(
        model_path,
        test_data,
        about=About(about, patient_column, site_column, tuple(group_column)),
        calibrate_on=calibrate_on,
        against=against,
        backbone_weights=backbone_weights,
        bootstrap=Bootstrap(draws, seed),
        accept=accept,
    )
    for sentence in plainly(judgement):
        say(sentence)
    for sentence in judgement.cautions:
        say(f"Caution: {sentence}")
    written = [save(path) for save, path in ((judgement.save, json), (judgement.save_page, html)) if path is not None]
    say(f"Written: {', '.join(map(str, written))}")
