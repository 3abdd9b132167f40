"""The command `repeat`: somebody's study once more, from its folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures
from support.notebooks import dataset, federation

from researcher.cli import main, repetition, studies
from researcher.notebook.repetition import repetition as repetition_of
from researcher.notebook.setup import Setup
from researcher.planning.initial_weights import RECORD_FILE
from researcher.studies.checkpoints import STATE_FILE
from researcher.studies.kept_plan import STUDY_FILE, read_plan

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}


def test_a_study_is_submitted_again_and_what_differs_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = federation().plan(**SMALL).submit(tmp_path / "first")
    theirs = federation(dataset("north"))
    monkeypatch.setattr(repetition, "connect", lambda credentials, **how: nullcontext(theirs))
    assert main(["repeat", str(tmp_path / "first"), "--out", str(tmp_path / "again")]) == 0
    told = capsys.readouterr().out
    assert "differs: south took part then and is not connected now." in told
    assert "charged beside" in told and "north: request north-re" in told
    assert theirs.submitted == [("north", first.plan.digest())] and (tmp_path / "again" / STUDY_FILE).exists()


def test_a_folder_without_a_study_asks_nobody_for_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = federation()
    monkeypatch.setattr(repetition, "connect", lambda credentials, **how: nullcontext(theirs))
    assert main(["repeat", str(tmp_path), "--out", str(tmp_path / "again")]) == 1
    assert "holds no study" in capsys.readouterr().err
    assert theirs.submitted == [] and not (tmp_path / "again").exists()


def test_a_study_of_the_command_line_keeps_what_it_was_begun_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, at = tmp_path / "study", federation()
    monkeypatch.setattr(studies, "connect", lambda credentials, **how: nullcontext(at))
    asked = ["submit", "--out", str(out), "--model", "linear", "--num_rounds", "2", "--noise_multiplier", "2"]
    federation().plan(**{**SMALL, "study": "refused"}).submit(out)
    (out / STUDY_FILE).unlink()  # as a submission that every hospital refused leaves the folder
    assert main(asked) == 0
    plan, _ = read_plan(out)
    kept = Setup.load(out, plan)
    assert kept is not None and kept.seed == 0 and kept.hold_out == "" and set(kept.hospitals) == {"north", "south"}
    again = repetition_of(at, out)
    assert again.differs == ()


def test_what_is_chosen_with_the_first_round_is_kept_until_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, at, test = tmp_path / "study", federation(), tmp_path / "test.npz"
    images, labels = draw_pictures(12, seed=2)
    np.savez(test, images=images, labels=labels, class_names=np.array(CLASSES))
    monkeypatch.setattr(studies, "connect", lambda credentials, **how: nullcontext(at))
    monkeypatch.setattr("researcher.terminal.training_session.train_study", lambda study, hold_out, **more: None)
    plan = ["--model", "linear", "--num_rounds", "2", "--noise_multiplier", "2"]
    assert main(["submit", "--out", str(out), *plan]) == 0
    submitted = Setup.load(out, read_plan(out)[0])
    assert main(["train", "--out", str(out), "--test", str(test), "--seed", "7"]) == 0
    kept = Setup.load(out, read_plan(out)[0])
    assert submitted is not None and kept is not None
    assert (kept.seed, kept.hold_out, kept.hospitals) == (7, str(test), submitted.hospitals)
    assert kept.first_weights != submitted.first_weights and kept.hold_out_digest
    (out / STATE_FILE).write_text("{}")  # a round is done: what it began with stays
    assert main(["train", "--out", str(out), "--test", str(test), "--seed", "8"]) == 0
    assert Setup.load(out, read_plan(out)[0]) == kept


def test_public_weights_that_the_first_study_began_from_are_told(tmp_path: Path) -> None:
    at = federation()
    at.plan(**SMALL).submit(tmp_path / "first")
    (tmp_path / "first" / RECORD_FILE).write_text("{}")
    assert any("began from public weights" in told for told in repetition_of(at, tmp_path / "first").differs)
