"""A submission that is killed and made again with other settings: no request of the first waits anywhere unknown."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.fake_hospitals import federation_of
from support.invitable_hospitals import SPEC, InvitableHospital, invitable
from support.open_files import room_for_files

from datasites.training.models import initial_weights
from policies.errors import ConfigError, DatasiteUnreachable, LimitExceeded
from policies.plans.training import PrivacySpec, TrainingPlan
from researcher.hospitals.code_request import CodeRequest
from researcher.studies.kept_plan import STUDY_FILE, kept
from researcher.studies.study import Study
from researcher.studies.taking_part.left_behind import LEFT_BEHIND_FILE
from researcher.studies.taking_part.on_the_way import ON_THE_WAY_FILE, on_the_way
from researcher.terminal.inviting import invite

PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
OTHER, THIRD = replace(PLAN, rounds=3), replace(PLAN, rounds=2)
FIRST = initial_weights(SPEC, 0)


def killed(do: Callable[[], object]) -> None:
    """Does something in a process of its own, which is killed in the middle of it."""
    process = multiprocessing.get_context("fork").Process(target=do)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def killed_while_it_submits(folder: Path, *hospitals: InvitableHospital, plan: TrainingPlan = PLAN) -> None:
    """A submission whose process dies once the first hospital has its request, and before the folder names it.

    The others were not reached by then.
    """
    first, before = hospitals[0], len(hospitals[0].requests)

    def submit() -> None:
        for other in hospitals[1:]:
            other.submit = partial(slow, other.submit)  # type: ignore[method-assign]
        Study.submit(federation_of(*hospitals), plan, folder)

    def slow(take: Callable[..., CodeRequest], asked: Any, name: str) -> CodeRequest:
        if asked == plan:
            threading.Event().wait()
        return take(asked, name)

    def die_once_it_is_new() -> None:
        if len(first.requests) > before:
            os.kill(os.getpid(), signal.SIGKILL)

    first.answering = die_once_it_is_new
    killed(submit)
    first.answering = lambda: None
    assert not (folder / STUDY_FILE).exists() and on_the_way(folder) == tuple(one.name for one in hospitals)


def two(tmp_path: Path) -> list[InvitableHospital]:
    made = [invitable(tmp_path, name, FIRST) for name in ("a", "b")]
    for one in made:
        one.decision = ("pending", "")
    return made


def test_the_request_of_the_settings_before_is_found_and_withdrawn(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    killed_while_it_submits(tmp_path / "study", a, b)
    study = Study.submit(federation_of(a, b), OTHER, tmp_path / "study")
    (first, second) = (one["request"] for one in a.requests.values())
    assert a.withdrawn == [first] and study.requests["a"].request_id == second
    assert study.taken_back == {"a": "withdrawn"} and not study.left_behind
    assert len(b.requests) == 1 and not b.withdrawn, "it was named and not reached: it sees one request, not two"
    assert study.told_left_behind() == [
        "a: a request of other settings, submitted to this folder before, was found: withdrawn"
    ]
    assert kept(study.folder)["plan"] == OTHER.to_json()
    for file in (LEFT_BEHIND_FILE, ON_THE_WAY_FILE):
        assert not (study.folder / file).exists()


def test_a_hospital_of_before_0_3_is_sent_the_earlier_request_to_find_it(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    a.release_0_3 = b.release_0_3 = False
    killed_while_it_submits(tmp_path / "study", a, b)
    study = Study.submit(federation_of(a, b), OTHER, tmp_path / "study")
    assert a.withdrawn == ["a-0"] and study.requests["a"].request_id == "a-1"
    assert b.withdrawn == ["b-0"] and study.requests["b"].request_id == "b-1", "nobody could ask whether it had one"
    assert study.taken_back == {"a": "withdrawn", "b": "withdrawn"} and not study.left_behind


def test_one_that_was_approved_meanwhile_is_ended_and_one_that_was_denied_is_told(tmp_path: Path) -> None:
    for state, told in (("approved", "ended, as it was approved"), ("denied", "denied already")):
        folder = tmp_path / state
        folder.mkdir()
        a, b = two(folder)
        killed_while_it_submits(folder / "study", a, b)
        a.decision = (state, "")
        study = Study.submit(federation_of(a, b), OTHER, folder / "study")
        assert study.taken_back == {"a": told} and not a.withdrawn and len(b.requests) == 1
        assert a.ended == (["a-0"] if state == "approved" else [])


def test_each_of_several_killed_submissions_is_taken_back(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    for plan in (PLAN, OTHER):
        killed_while_it_submits(tmp_path / "study", a, b, plan=plan)
    study = Study.submit(federation_of(a, b), THIRD, tmp_path / "study")
    assert a.withdrawn == ["a-0", "a-1"] and study.requests["a"].request_id == "a-2"


def test_killed_while_the_first_is_looked_for_it_is_looked_for_again(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    killed_while_it_submits(tmp_path / "study", a, b)
    a.answering = lambda: os.kill(os.getpid(), signal.SIGKILL)
    killed(lambda: Study.submit(federation_of(a, b), OTHER, tmp_path / "study"))
    a.answering = lambda: None
    study = Study.submit(federation_of(a, b), THIRD, tmp_path / "study")
    assert a.withdrawn == ["a-0"] and study.requests["a"].request_id == "a-1" and not study.left_behind


def test_a_hospital_that_is_away_gets_no_second_request_until_the_first_is_taken_back(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    killed_while_it_submits(tmp_path / "study", a, b)
    a.away = True
    study = Study.submit(federation_of(a, b), OTHER, tmp_path / "study")
    assert study.refused["a"].startswith(DatasiteUnreachable.code) and study.left_behind == {"a": ""}
    a.away = False
    study = Study.load(federation_of(a, b), study.folder)
    assert invite(study, known={}).invited == ["a"]
    assert a.withdrawn == ["a-0"] and study.requests["a"].request_id == "a-1" and not study.left_behind


def test_one_that_cannot_be_found_is_told_and_does_not_stop_the_study(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    a.release_0_3 = False
    killed_while_it_submits(tmp_path / "study", a, b)
    take: Any = a.submit

    def stricter(plan: Any, name: str = "") -> Any:
        if plan == PLAN:
            raise LimitExceeded("Too many rounds.")
        return take(plan, name)

    a.submit = stricter  # type: ignore[method-assign]
    study = Study.submit(federation_of(a, b), OTHER, tmp_path / "study")
    assert study.requests["a"].request_id == "a-1"
    assert study.left_behind == {"a": "WW304: Too many rounds."} and not study.taken_back
    (told,) = (line for line in study.told_left_behind() if line.startswith("a: "))
    assert told.endswith("ask its people to deny it (WW304: Too many rounds.)")


def test_the_same_settings_again_take_nothing_back(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    killed_while_it_submits(tmp_path / "study", a, b)
    study = Study.submit(federation_of(a, b), PLAN, tmp_path / "study")
    assert study.requests["a"].request_id == "a-0" and len(a.requests) == 1
    assert not a.withdrawn and not study.taken_back and not (study.folder / LEFT_BEHIND_FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan": "", "earlier": [{}]}', '{"plan": "", "earlier": 1}'])
def test_a_file_that_was_changed_stops_a_submission_before_anybody_is_asked(tmp_path: Path, text: str) -> None:
    a, b = two(tmp_path)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / LEFT_BEHIND_FILE).write_text(text)
    with pytest.raises(ConfigError, match="was changed or cut"):
        Study.submit(federation_of(a, b), PLAN, tmp_path / "study")
    assert not a.requests and not b.requests


def test_a_note_that_the_disk_does_not_give_back_now_stops_a_submission_that_could_ask_twice(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    killed_while_it_submits(tmp_path / "study", a, b)
    with room_for_files(0), pytest.raises(ConfigError, match="cannot be read"):
        on_the_way(tmp_path / "study")
    assert on_the_way(tmp_path / "study") == ("a", "b") and on_the_way(tmp_path / "none") == ()
