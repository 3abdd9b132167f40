"""A study's canaries: what a hospital fails on is known before a round is charged anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.charged_rounds import PLAN
from support.fake_hospitals import FakeHospital, federation_of, requests_of
from support.hospitals import CLASSES

from datasites.training.models import initial_weights
from policies.errors import RequestDenied
from researcher.evaluation.hold_out import HoldOut
from researcher.reports.participation import participation
from researcher.studies.study import Study

WHY = "It ended on the mock with MemoryError."


@pytest.fixture
def hospitals() -> list[FakeHospital]:
    shapes: Any = initial_weights(PLAN.model, 0)
    return [FakeHospital(name, shapes) for name in ("a", "b", "c")]


def run(folder: Path, hospitals: list[FakeHospital], **options: Any) -> Any:
    import numpy as np

    pictures = np.random.default_rng(0).integers(0, 255, (10, 8, 8, 1), dtype=np.uint8)
    hold_out = HoldOut(pictures, np.arange(10) % 2, CLASSES)
    study = Study(federation_of(*hospitals), PLAN, requests_of(*hospitals), folder)
    return study.run(hold_out=hold_out, initial_weights=initial_weights(PLAN.model, 0), rounds=1, **options)


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


def test_a_hospital_of_a_version_without_canaries_takes_part(
    tmp_path: Path, hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hospitals[0], "ask_for_canary", lambda request_id: None)
    _, history = run(tmp_path, hospitals)
    assert history.records[0].datasites == ("a", "b", "c")
