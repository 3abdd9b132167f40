"""Who takes part in a study, when hospitals decide differently or are out of reach."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from policies.answers.requests import RequestAnswer, ThreadAnswer
from policies.errors import (
    CertificateRefused,
    ConfigError,
    DatasiteUnreachable,
    LimitExceeded,
    RequestDenied,
    TooManyPending,
    WanwuError,
)
from policies.plans.training import ModelSpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospitals.code_request import CodeRequest
    from researcher.hospitals.federation import Federation
    from researcher.studies.submission import Submission


class Answers:
    """A hospital's routes that give these answers, one after the other; the last one for ever."""

    def __init__(self, *answers: RequestAnswer | Exception) -> None:
        self._answers, self.ended = list(answers), False
        self.round_receipts: dict[str, object] = {}

    def request(self, request_id: str) -> RequestAnswer:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def receipt(self, request_id: str) -> str:
        self.request(request_id)
        return "{}"

    def end(self, request_id: str) -> None:
        self.request(request_id)
        self.ended = True

    def withdraw(self, request_id: str) -> RequestAnswer:
        self.request(request_id)
        return RequestAnswer("r", "withdrawn", "")

    def messages(self, request_id: str) -> ThreadAnswer:
        self.request(request_id)
        return ThreadAnswer("r", (), 0)


APPROVED = RequestAnswer("r", "approved", "")
AWAY = DatasiteUnreachable("Datasite 'north' cannot be reached. Is it running?")


def submitted(refused: dict[str, str] | None = None, /, **hospitals: Answers) -> Submission[Any]:
    there = {name: SimpleNamespace(routes=answers, public_key="k") for name, answers in hospitals.items()}
    federation: Any = SimpleNamespace(hospitals=there, asked=lambda name, ask: ask(there[name]))
    requests = {name: CodeRequest(request_id=name, function="f", code_id="c") for name in hospitals}
    return Submission(federation, plan=None, requests=requests, folder=Path("unused"), refused=refused or {})


def test_a_hospital_that_is_just_starting_is_waited_for() -> None:
    study = submitted(north=Answers(AWAY, AWAY, APPROVED), south=Answers(APPROVED))
    assert study.approved(2) == (["north", "south"], {})


def test_a_hospital_that_stays_away_is_left_out_if_enough_are_there() -> None:
    study = submitted(north=Answers(AWAY), south=Answers(APPROVED))
    names, absent = study.approved(1, unreachable_seconds=0.05)
    assert names == ["south"]
    assert absent["north"].startswith("unreachable: Datasite 'north'")


def test_too_few_hospitals_are_named_with_what_became_of_them() -> None:
    study = submitted(north=Answers(AWAY), south=Answers(RequestAnswer("r", "denied", "No.")))
    with pytest.raises(RequestDenied, match=r"north: unreachable.*; south: denied: No"):
        study.approved(1, unreachable_seconds=0.05)


def test_a_hospital_that_was_away_at_submission_is_named_where_too_few_are_left() -> None:
    study = submitted({"north": f"{AWAY.code}: {AWAY.public}"}, south=Answers(APPROVED))
    named = rf"\(north: {AWAY.code}: Datasite 'north' cannot be reached\. Is it running\?\)"
    with pytest.raises(RequestDenied, match="^1 of the 2 hospitals that min_clients asks for approved " + named):
        study.approved(2)
    with pytest.raises(RequestDenied, match="^min_clients is 2, and only 1 of 2 hospitals can take part " + named):
        study.wait_for_decisions(min_clients=2)
    with pytest.raises(RequestDenied, match=r"min_clients asks for approved \(the study has no more\)"):
        submitted(south=Answers(APPROVED)).approved(2)


DENIED, PENDING = RequestAnswer("r", "denied", "No."), RequestAnswer("r", "pending", "")


def test_enough_approvals_end_the_wait_for_decisions() -> None:
    study = submitted(north=Answers(PENDING, APPROVED), south=Answers(APPROVED), east=Answers(PENDING))
    told = study.wait_for_decisions(min_clients=2, grace_seconds=0.0, poll_seconds=0.0)
    assert [state for state, _ in told.values()] == ["approved", "approved", "pending"]


def test_others_have_some_time_to_decide_once_enough_approved() -> None:
    study = submitted(north=Answers(APPROVED), south=Answers(APPROVED), east=Answers(PENDING, AWAY, APPROVED))
    told = study.wait_for_decisions(min_clients=2, grace_seconds=1e9, poll_seconds=0.0)
    assert {state for state, _ in told.values()} == {"approved"}


def test_a_number_that_can_never_be_met_is_said_instead_of_waited_for() -> None:
    study = submitted(north=Answers(APPROVED), south=Answers(PENDING, DENIED), east=Answers(PENDING))
    with pytest.raises(RequestDenied, match=r"only 2 of 3 hospitals can take part \(south: denied: No\.\)"):
        study.wait_for_decisions(min_clients=3, poll_seconds=0.0)
    with pytest.raises(RequestDenied, match="only 3 of 3"):
        submitted(a=Answers(PENDING), b=Answers(AWAY), c=Answers(PENDING)).wait_for_decisions(min_clients=4)


# --- one of them is out of reach ------------------------------------------------------------------------------


def test_decisions_name_the_hospital_that_cannot_be_asked() -> None:
    study = submitted(north=Answers(AWAY), south=Answers(APPROVED), east=Answers(CertificateRefused("Revoked.")))
    assert study.decisions() == {
        "north": ("unreachable", AWAY.public),
        "south": ("approved", ""),
        "east": ("refused", "WW711: Revoked."),
    }
    assert study.questions() == {"south": 0}


def _receipts(study: Submission[Any], folder: Path, **more: Any) -> object:
    return [file.name for file in study.receipts(folder, **more)]


def _end(study: Submission[Any], folder: Path, **more: Any) -> object:
    study.end(**more)
    return study.federation.hospitals["south"].routes.ended  # type: ignore[attr-defined]


def _withdraw(study: Submission[Any], folder: Path, **more: Any) -> object:
    return study.withdraw(**more)


def _messages(study: Submission[Any], folder: Path, **more: Any) -> object:
    return study.messages(**more)


@pytest.mark.parametrize(
    ("do", "state", "done"),
    [
        (_receipts, APPROVED, ["south.receipt.json"]),
        (_end, APPROVED, True),
        (_withdraw, PENDING, {"south": "withdrawn"}),
        (_messages, PENDING, {"south": ()}),
    ],
)
def test_what_can_be_reached_is_done_and_what_cannot_is_named(
    tmp_path: Path, do: Callable[..., object], state: RequestAnswer, done: object
) -> None:
    study, missing = submitted(north=Answers(AWAY), south=Answers(state)), dict[str, WanwuError]()
    assert do(study, tmp_path, on_missing=missing.__setitem__) == done
    assert missing == {"north": AWAY}
    with pytest.raises(DatasiteUnreachable, match=r"Not done at north: WW705: .* Done at: south\."):
        do(study, tmp_path)


def test_a_hospital_that_takes_no_question_from_this_account_is_not_waited_for() -> None:
    study = submitted(north=Answers(CertificateRefused("Revoked.")), south=Answers(PENDING, APPROVED))
    told = study.wait_for_decisions(poll_seconds=0.0)
    assert [state for state, _ in told.values()] == ["refused", "approved"]


def taking(**answers: WanwuError | BaseException | None) -> tuple[Federation, list[str]]:
    """A federation whose hospitals take a plan, or refuse it with what is given; and who was asked."""
    asked: list[str] = []

    def submit(name: str) -> CodeRequest:
        asked.append(name)
        if (error := answers[name]) is not None:
            raise error
        return CodeRequest(request_id=name, function="f", code_id="c")

    hospitals: list[Any] = [
        SimpleNamespace(name=name, submit=lambda plan, stub, name=name: submit(name)) for name in answers
    ]
    return Federation(hospitals), asked


PLAN = TrainingPlan("study", "d", ModelSpec("linear", (16, 16, 1), 2), 2, 2, 0.2, 0.1)


def test_a_hospital_that_refuses_the_plan_is_left_out_and_the_folder_holds_the_others(tmp_path: Path) -> None:
    hospitals, asked = taking(north=LimitExceeded("Too many steps."), south=None, east=TooManyPending("Full."))
    made: Submission[Any] = Submission.submit(hospitals, PLAN, tmp_path)
    assert list(made.requests) == ["south"] and asked == ["north", "south", "east"]
    again: Submission[Any] = Submission.load(hospitals, tmp_path)
    assert again.requests == made.requests
    assert again.refused == made.refused == {"north": "WW304: Too many steps.", "east": "WW408: Full."}


@pytest.mark.parametrize("requests", ["x", ["north"], {"north": 1}, {"north": {"request_id": 1}}, "["], ids=str)
def test_a_folder_whose_requests_somebody_changed_holds_no_study(tmp_path: Path, requests: object) -> None:
    kept = json.dumps({"plan": PLAN.to_json(), "requests": requests}) if requests != "[" else "[" * 100_000
    (tmp_path / "study.json").write_text(kept)
    with pytest.raises(ConfigError, match="was changed or cut, so it holds no study"):
        Submission.load(taking(north=None)[0], tmp_path)


@pytest.mark.parametrize("identifier", ["", "a/b", "../a", "a?b", "a#b", "a b", "\u202e", 1, "a" * 201], ids=str)
def test_an_identifier_that_would_change_an_address_is_no_requests(tmp_path: Path, identifier: object) -> None:
    values = {"request_id": identifier, "function": "f", "code_id": "c"}
    (tmp_path / "study.json").write_text(json.dumps({"plan": PLAN.to_json(), "requests": {"north": values}}))
    with pytest.raises(ConfigError, match="No code request has"):
        Submission.load(taking(north=None)[0], tmp_path)


def test_a_plan_that_all_refuse_leaves_no_study_behind(tmp_path: Path) -> None:
    hospitals, _ = taking(north=LimitExceeded("Too many steps."), south=TooManyPending("Full."))
    with pytest.raises(LimitExceeded, match=r"north: Too many steps\."):
        Submission.submit(hospitals, PLAN, tmp_path / "study")
    assert not (tmp_path / "study" / "study.json").exists()


def test_nothing_is_submitted_where_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hospitals, asked = taking(north=None)
    with pytest.raises(ConfigError, match="cannot be written"):
        Submission.submit(hospitals, PLAN, tmp_path / "file" / "study")
    assert asked == []


def test_each_request_is_in_the_folder_as_soon_as_it_is_made(tmp_path: Path) -> None:
    hospitals, _ = taking(north=None, south=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Submission.submit(hospitals, PLAN, tmp_path)
    again: Submission[Any] = Submission.load(hospitals, tmp_path)
    assert list(again.requests) == ["north"]
