"""A session that goes on with a round loads its evaluation's libraries once a hospital has answered, and not before."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from researcher.evaluation import evaluation
from researcher.studies.remote_round import RoundEvent
from researcher.studies.taking_part.readiness import Readiness


class Pool:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def submit(self, work: Any) -> Future[None]:
        self.given.append(work)
        return Future()


@pytest.mark.parametrize("state", ["queued", "running", "receiving", "done"])
def test_libraries_are_loaded_once_a_hospital_has_answered_and_not_before(state: str) -> None:
    pool, told = Pool(), []  # type: ignore[var-annotated]
    see = Readiness(pool).before(told.append)  # type: ignore[arg-type]
    events = [RoundEvent("north", 0, one) for one in ("canary queued", "sending", state, state, "done")]
    for number, event in enumerate(events):
        see(event)
        assert pool.given == ([] if number < 2 else [evaluation.load])
    assert told == events
