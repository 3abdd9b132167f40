"""`--gram` at the command that submits alone: it is refused with the command that takes it."""

from __future__ import annotations

import pytest

from researcher.cli import main


def test_submit_names_the_command_that_takes_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--study", "smears", "--gram", "out/gram"]) == 2
    told = capsys.readouterr().err
    assert "Give --gram to train" in told and "Did you mean" not in told


def test_the_help_of_submit_does_not_offer_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--help"]) == 0
    assert "--gram" not in capsys.readouterr().out
