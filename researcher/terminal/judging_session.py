"""A judgement on public test data in the terminal: sentences, and files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from policies.terminal.printing import say
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.judge import judge
from researcher.judgement.pages.sentences import plainly
from researcher.judgement.test_data import About


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
