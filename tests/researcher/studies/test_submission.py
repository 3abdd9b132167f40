"""Who takes part in a study, when hospitals decide differently or are out of reach."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from policies.answers.requests import RequestAnswer
from policies.errors import DatasiteUnreachable, RequestDenied

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospitals.code_requests import CodeRequest
    from researcher.studies import submission
    from researcher.studies.submission import Submission


class Answers:
    """A hospital's routes that give these answers, one after the other; the last one for ever."""

    def __init__(self, *answers: RequestAnswer | Exception) -> None:
        self._answers = list(answers)

    def request(self, request_id: str) -> RequestAnswer:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


APPROVED = RequestAnswer("r", "approved", "")
AWAY = DatasiteUnreachable("Datasite 'north' cannot be reached. Is it running?")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(submission, "_POLL_SECONDS", 0.01)
    yield


def submitted(**hospitals: Answers) -> Submission[Any]:
    federation: Any = SimpleNamespace(
        hospitals={name: SimpleNamespace(routes=answers) for name, answers in hospitals.items()}
    )
    requests = {name: CodeRequest(request_id=name, function="f", code_id="c") for name in hospitals}
    return Submission(federation, plan=None, requests=requests, folder=Path("unused"))


def test_a_hospital_that_is_just_starting_is_waited_for() -> None:
    study = submitted(north=Answers(AWAY, AWAY, APPROVED), south=Answers(APPROVED))
    assert study.approved(2) == (["north", "south"], {})


def test_a_hospital_that_stays_away_is_left_out_if_enough_are_there() -> None:
    study = submitted(north=Answers(AWAY), south=Answers(APPROVED))
    names, absent = study.approved(1, unreachable_seconds=0.05)
    assert names == ["south"]
    assert absent["north"].startswith("unreachable Datasite 'north'")


def test_too_few_hospitals_are_named_with_what_became_of_them() -> None:
    study = submitted(north=Answers(AWAY), south=Answers(RequestAnswer("r", "denied", "No.")))
    with pytest.raises(RequestDenied, match=r"north: unreachable.*; south: denied No"):
        study.approved(1, unreachable_seconds=0.05)
