"""A researcher's clock that is an hour wrong, at real datasites: it is said which hospital, by how much, and waited."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.hospitals import Hospital, small_plan

from datasites.training.models import initial_weights
from policies.contracts import signatures
from policies.errors import ClocksDiffer
from researcher.hospitals.federation import Federation
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.study import Study

HOUR = 3600.0


class Clock:
    """The clock that requests are signed by, so many seconds ahead of this machine's."""

    ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@contextmanager
def clock() -> Iterator[Clock]:
    made = Clock()
    with patch.object(signatures, "time", made):
        yield made


@pytest.mark.parametrize("waits", [60.0, 0.0], ids=["within its waiting", "after its waiting"])
def test_a_study_goes_on_once_the_clock_is_right_again(
    tmp_path: Path, hospitals: dict[str, Hospital], federation: Any, hold_out: Any, waits: float
) -> None:
    study = Study.submit(federation, small_plan(federation, study=f"clock-{waits:g}", rounds=3), tmp_path)
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)
    told: dict[str, str] = {}
    looked: list[str] = []
    asks = study._told

    with clock() as wrong:

        def jumps(record: Any) -> None:
            if record.round == 1:
                wrong.ahead = HOUR
                looked.clear()

        def hears(event: Any) -> None:
            if event.state == "unreachable":
                told[event.datasite] = event.reason
            if len(told) == len(hospitals):
                wrong.ahead = 0.0

        def looks(name: str) -> tuple[str, str]:  # for those that a round does not wait for any more
            looked.append(name)
            if len(looked) > len(hospitals):
                wrong.ahead = 0.0
            return asks(name)

        with patch.object(study, "_told", looks):
            _, history = study.run(
                hold_out=hold_out,
                initial_weights=initial_weights(study.plan.model, 0),
                on_round=jumps,
                on_event=hears,
                retry_policy=RetryPolicy(unreachable_seconds=waits),
            )
    assert [set(record.datasites) for record in history.records] == [set(hospitals)] * 3
    if waits:
        assert all(f"Datasite '{name}': This request was signed 3600 seconds after" in told[name] for name in hospitals)
    else:
        assert len(looked) > len(hospitals)


def test_the_hospital_and_the_difference_are_named_where_nobody_can_be_connected(
    hospitals: dict[str, Hospital],
) -> None:
    with clock() as wrong:
        wrong.ahead = -HOUR
        with pytest.raises(ClocksDiffer, match="Datasite 'north': This request was signed 3600 seconds before"):
            Federation.connect(hospitals["north"].credentials())
