"""`--gram` at the command that submits alone: it is refused with the command that takes it, which is told in time."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from support.notebooks import federation

from researcher.cli import main, studies


def test_submit_names_the_command_that_takes_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--study", "smears", "--gram", "out/gram"]) == 2
    told = capsys.readouterr().err
    assert "Give --gram to train" in told and "Did you mean" not in told


def test_the_help_of_submit_does_not_offer_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--help"]) == 0
    assert "--gram" not in capsys.readouterr().out


@pytest.mark.parametrize(("recipe", "steps_by_a_matrix"), [("few_rounds", True), ("auto", False)])
def test_submit_says_what_a_study_in_few_rounds_still_needs(
    recipe: str,
    steps_by_a_matrix: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = federation()
    monkeypatch.setattr(studies, "connect", lambda credentials, **how: nullcontext(at))
    words = ["submit", "--out", str(tmp_path / "study"), "--model", "scattering_linear", "--recipe", recipe]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "waiting for the hospital's decision" in told
    assert ("'python -m researcher gram' at this study's --epsilon" in told) is steps_by_a_matrix
    assert ("--gram" in told) is steps_by_a_matrix
