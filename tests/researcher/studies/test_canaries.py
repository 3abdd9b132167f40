"""A study's canaries: what a hospital fails on is known before a round is charged anywhere."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.charged_rounds import PLAN
from support.fake_hospitals import FakeHospital, federation_of, requests_of
from support.hospitals import CLASSES

from datasites.training.models import initial_weights
from policies.answers.hospital import BudgetAnswer
from policies.errors import RequestDenied, RoundRefused
from researcher.cli import main, studies
from researcher.evaluation.hold_out import HoldOut
from researcher.notebook.status import status_of
from researcher.reports.participation import participation
from researcher.studies.history import History
from researcher.studies.study import STUDY_FILE, Study
from researcher.studies.taking_part.canary_end import CanaryEnd

WHY = "It ended on the mock with MemoryError."


@pytest.fixture
def hospitals() -> list[FakeHospital]:
    shapes: Any = initial_weights(PLAN.model, 0)
    return [FakeHospital(name, shapes) for name in ("a", "b", "c")]


def study_of(folder: Path, hospitals: list[FakeHospital]) -> Study:
    return Study(federation_of(*hospitals), PLAN, requests_of(*hospitals), folder)


def hold_out() -> HoldOut:
    pictures = np.random.default_rng(0).integers(0, 255, (10, 8, 8, 1), dtype=np.uint8)
    return HoldOut(pictures, np.arange(10) % 2, CLASSES)


def run(folder: Path, hospitals: list[FakeHospital], **options: Any) -> Any:
    study = study_of(folder, hospitals)
    given = {"hold_out": hold_out(), "initial_weights": initial_weights(PLAN.model, 0), "rounds": 1}
    return study.run(**given, **options)


def kept(folder: Path, hospitals: list[FakeHospital]) -> dict[str, tuple[bool, str]]:
    """Hospital → whether its canary passed, and why not, as the study's folder tells it."""
    loaded = Study.load(federation_of(*hospitals), folder)
    return {name: (end.passed, end.reason) for name, end in loaded.canaries.items()}


def test_a_hospital_whose_canary_fails_is_left_out_with_the_reason_and_charges_nothing(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    hospitals[1].canary_fails = WHY
    told: list[Any] = []
    _, history = run(tmp_path, hospitals, on_event=told.append)
    assert (history.records[0].datasites, hospitals[1].charged) == (("a", "c"), {})
    assert history.records[0].skipped == {"b": f"canary failed: WW501: {WHY} Nothing was charged."}
    assert participation("b", history.records).standing == "canary failed"
    assert [event.reason for event in told if event.state == "failed"] == [f"canary failed: WW501: {WHY}"]


def test_too_few_canaries_end_a_study_before_a_round_is_charged_anywhere(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    hospitals[1].canary_fails = hospitals[2].canary_fails = WHY
    with pytest.raises(RequestDenied, match="canary failed"):
        run(tmp_path, hospitals)
    assert not any(one.charged for one in hospitals)


def test_how_each_canary_ended_is_kept_in_the_folder_also_where_no_round_was_asked_for(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    hospitals[1].canary_fails = hospitals[2].canary_fails = WHY
    with pytest.raises(RequestDenied):
        run(tmp_path, hospitals)
    failed = (False, f"WW501: {WHY}")
    assert kept(tmp_path, hospitals) == {"a": (True, ""), "b": failed, "c": failed}
    hospitals[1].canary_fails = ""
    run(tmp_path, hospitals)
    assert kept(tmp_path, hospitals) == {"a": (True, ""), "b": (True, ""), "c": failed}


def test_a_canary_that_passed_keeps_the_time_at_which_that_was_told_first(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    study, long_ago = study_of(tmp_path, hospitals), CanaryEnd(True, "2025-01-02T03:04:05+00:00")
    study.note_canaries({"a": long_ago})
    study.note_canaries({"a": CanaryEnd.now(), "b": CanaryEnd.now(WHY)})
    again = Study.load(federation_of(*hospitals), tmp_path).canaries
    assert again["a"] == long_ago and not again["b"].passed
    study.note_canaries({"a": CanaryEnd.now(WHY)})
    assert not Study.load(federation_of(*hospitals), tmp_path).canaries["a"].passed


def test_a_canary_that_may_run_no_more_keeps_what_it_failed_with(
    tmp_path: Path, hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(request_id: str) -> None:
        raise RoundRefused("This request's canary has run 10 times.")

    study_of(tmp_path, hospitals).note_canaries({"b": CanaryEnd.now(WHY)})
    monkeypatch.setattr(hospitals[1], "ask_for_canary", refuses)
    study = Study.load(federation_of(*hospitals), tmp_path)
    _, history = study.run(hold_out=hold_out(), initial_weights=initial_weights(PLAN.model, 0), rounds=1)
    assert history.records[0].skipped["b"].startswith(f"canary failed: {RoundRefused.code}: This request's canary has")
    assert kept(tmp_path, hospitals)["b"] == (False, WHY)


@pytest.mark.parametrize("canaries", [None, 7, {"a": 7}, {"a": {"passed": True}}, []], ids=str)
def test_a_study_goes_on_without_canaries_that_cannot_be_read(
    tmp_path: Path, hospitals: list[FakeHospital], canaries: object
) -> None:
    study_of(tmp_path, hospitals).note_canaries({"a": CanaryEnd.now()})
    file = tmp_path / STUDY_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "canaries": canaries}))
    again = Study.load(federation_of(*hospitals), tmp_path)
    assert again.canaries == {} and again.requests


def test_status_tells_how_each_canary_ended_in_the_terminal_and_in_a_notebook(
    tmp_path: Path, hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_of(tmp_path, hospitals)
    study.note_canaries({"a": CanaryEnd(True, "2026-11-29T08:00:00+00:00"), "b": CanaryEnd.now(f"WW501: {WHY}")})
    monkeypatch.setattr(studies, "connect", lambda credentials, begun: nullcontext(study.federation))
    monkeypatch.setattr(Study, "rehearsals", lambda self: {})
    assert main(["status", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "canary at a: passed (2026-11-29)\n" in printed and f": WW501: {WHY}\n" in printed
    hospitals[1].away = True
    monkeypatch.setattr(FakeHospital, "rehearsal", lambda self, request: None, raising=False)
    monkeypatch.setattr(FakeHospital, "budget", lambda self, dataset: BudgetAnswer(8.0, 8.0, 1e-5), raising=False)
    told = status_of(study, History())
    assert "canary passed (2026-11-29)" in repr(told) and WHY in repr(told)
    page = told._repr_html_()
    assert "passed (2026-11-29)" in page and WHY in page


def test_status_tells_rounds_in_a_row_without_a_hospital_in_one_line(
    tmp_path: Path, hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hospitals[1].canary_fails = WHY
    study = study_of(tmp_path, hospitals)
    given = {"hold_out": hold_out(), "initial_weights": initial_weights(PLAN.model, 0), "rounds": 2}
    study.run(**given)
    monkeypatch.setattr(studies, "connect", lambda credentials, begun: nullcontext(study.federation))
    monkeypatch.setattr(Study, "rehearsals", lambda self: {})
    assert main(["status", "--out", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " without " in line]
    assert line.startswith("rounds 1 to 2 without b: canary failed: ") and WHY in line
