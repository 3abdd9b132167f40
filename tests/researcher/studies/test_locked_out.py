"""Hospitals that let this account in no more, and again later: studies go on without them, and nobody waits."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures

from policies.answers.runs import RunAnswer
from policies.errors import (
    CertificateRefused,
    DatasiteNotTrusted,
    NotEnoughDatasites,
    RequestUnknown,
    SignInFailed,
    WanwuError,
)
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from support.fake_hospitals import FakeHospital, averaged, federation_of, requests_of

    from researcher.studies.history import RoundRecord
    from researcher.studies.remote_round import RemoteRound
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study

from datasites.training.models import initial_weights

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)
REFUSALS = pytest.mark.parametrize(
    "refusal", [CertificateRefused("It is expired."), SignInFailed("No such key."), DatasiteNotTrusted("Another.")]
)


def run(
    folder: Path, hospitals: list[FakeHospital], on_round: Callable[[RoundRecord], None], *, min_clients: int
) -> list[RoundRecord]:
    study = Study(federation_of(*hospitals), PLAN, requests_of(*hospitals), folder)
    state, history = study.run(
        hold_out=HOLD_OUT,
        initial_weights=FIRST,
        min_clients=min_clients,
        retry_policy=RetryPolicy(unreachable_seconds=0.0),
        on_round=on_round,
    )
    expected = averaged(FIRST, history.records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    assert {count for one in hospitals for count in one.charged.values()} == {1}
    return history.records


@REFUSALS
def test_a_hospital_that_lets_in_again_is_in_the_next_round_of_the_same_session(
    tmp_path: Path, refusal: WanwuError
) -> None:
    a, b, c = (FakeHospital(name, FIRST) for name in "abc")

    def turn(record: RoundRecord) -> None:
        c.shut = refusal if record.round < 3 else None

    records = run(tmp_path, [a, b, c], turn, min_clients=2)
    assert [record.datasites for record in records] == [("a", "b", "c"), ("a", "b"), ("a", "b"), ("a", "b", "c")]
    assert records[1].skipped == {"c": f"{refusal.code}: {refusal.public}"}


@REFUSALS
def test_too_few_others_do_not_wait_for_it_and_the_study_says_how_it_goes_on(
    tmp_path: Path, refusal: WanwuError
) -> None:
    a, b = (FakeHospital(name, FIRST) for name in "ab")

    def shut(record: RoundRecord) -> None:
        b.shut = refusal

    with pytest.raises(NotEnoughDatasites, match=rf"b: {refusal.code}: {refusal.public}.*run the study again"):
        run(tmp_path, [a, b], shut, min_clients=2)
    b.shut = None
    assert len(run(tmp_path, [a, b], lambda record: None, min_clients=2)) == 4


def test_an_update_that_was_asked_for_before_is_taken_once_it_lets_in_again(tmp_path: Path) -> None:
    a, b, c = (FakeHospital(name, FIRST) for name in "abc")
    take = c.get_blob

    def refused(digest: str, file: Path, *, max_bytes: int) -> int:
        if not c.downloads and c.shut is None and not hasattr(c, "was_shut"):
            c.shut = CertificateRefused("It is expired.")
            c.was_shut = True  # type: ignore[attr-defined]
        return take(digest, file, max_bytes=max_bytes)

    c.get_blob = refused  # type: ignore[method-assign]

    def open_again(record: RoundRecord) -> None:
        c.shut = None

    records = run(tmp_path, [a, b, c], open_again, min_clients=2)
    assert [record.datasites for record in records] == [("a", "b")] + [("a", "b", "c")] * 3
    assert records[0].under_way == {"c": 1} and records[1].staleness == {"c": 1}
    assert set(c.downloads.values()) == {1}


def test_a_hospital_that_forgot_a_round_which_it_took_is_left_out_and_the_researcher_reads_what_that_means(
    tmp_path: Path,
) -> None:
    a, b, c = FakeHospital("a", FIRST), FakeHospital("b", FIRST), FakeHospital("c", FIRST, {1: threading.Event()})
    follow = c.run

    def forget(request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> RunAnswer:
        if round_index == 1 and seen >= 0:
            raise RequestUnknown("Round 2 of this request was not asked for yet.")
        return follow(request_id, round_index, seen=seen, wait_seconds=wait_seconds)

    c.run = forget  # type: ignore[method-assign]
    records = run(tmp_path, [a, b, c], lambda record: None, min_clients=2)
    c.slow[1].set()
    assert [record.datasites for record in records] == [("a", "b", "c")] + [("a", "b")] * 3
    for record in records[1:]:
        assert "It took round 2 and knows nothing of it any more" in record.skipped["c"]
    assert set(c.charged) == {0, 1}, "it is asked for nothing more"


def test_a_hospital_that_was_never_asked_for_a_round_is_not_said_to_have_forgotten_it() -> None:
    hospital = FakeHospital("a", FIRST)

    def unknown(request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> RunAnswer:
        raise RequestUnknown("Round 2 of this request was not asked for yet.")

    hospital.run = unknown  # type: ignore[method-assign]
    there: Any = hospital
    policy = RetryPolicy(unreachable_seconds=0.0)
    asked = RemoteRound(there, "d", requests_of(hospital)["a"], PLAN, 1, policy, threading.Event(), lambda event: None)
    with pytest.raises(RequestUnknown, match=r"^Round 2 of this request was not asked for yet\.$"):
        asked.fetch({name: one.shape for name, one in FIRST.items()})
