"""The command `repeat`: somebody's study once more, from its folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.notebooks import dataset, federation

from researcher.cli import main, repetition
from researcher.studies.kept_plan import STUDY_FILE

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}


def test_a_study_is_submitted_again_and_what_differs_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = federation().plan(**SMALL).submit(tmp_path / "first")
    theirs = federation(dataset("north"))
    monkeypatch.setattr(repetition, "connect", lambda credentials: nullcontext(theirs))
    assert main(["repeat", str(tmp_path / "first"), "--out", str(tmp_path / "again")]) == 0
    told = capsys.readouterr().out
    assert "differs: south took part then and is not connected now." in told
    assert "charged beside" in told and "north: request north-re" in told
    assert theirs.submitted == [("north", first.plan.digest())] and (tmp_path / "again" / STUDY_FILE).exists()


def test_a_folder_without_a_study_asks_nobody_for_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = federation()
    monkeypatch.setattr(repetition, "connect", lambda credentials: nullcontext(theirs))
    assert main(["repeat", str(tmp_path), "--out", str(tmp_path / "again")]) == 1
    assert "holds no study" in capsys.readouterr().err
    assert theirs.submitted == [] and not (tmp_path / "again").exists()
