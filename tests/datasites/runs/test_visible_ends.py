"""What a researcher sees of a running run: that it runs, and its end at times that everybody can reckon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.charged_rounds import Datasite, make_datasite

from datasites.runs.visible_ends import RATIO, STEP_SECONDS, visible_seconds
from policies.answers.plain_values import to_plain
from policies.answers.runs import RunAnswer
from policies.errors import RunFailed


@given(st.floats(0.0, 1e7))
def test_an_end_is_visible_at_the_next_time_of_the_grid(seconds: float) -> None:
    visible = visible_seconds(seconds)
    assert seconds <= visible
    assert visible - seconds < max(STEP_SECONDS, seconds * (RATIO - 1)) + 1e-12
    assert visible_seconds(visible) == visible


@given(st.floats(0.0, 1e7), st.floats(0.0, 1e7))
def test_a_run_that_takes_longer_is_never_visible_earlier(one: float, other: float) -> None:
    assert visible_seconds(min(one, other)) <= visible_seconds(max(one, other))


def test_the_grid_can_be_reckoned_by_hand() -> None:
    ends = (0.0, 0.01, 0.025, 0.026, 0.49, 0.5, 0.501, 0.526)
    expected = [0.025, 0.025, 0.025, 0.05, 0.5, 0.5, 0.5 * 1.05, 0.5 * 1.05**2]
    assert [visible_seconds(seconds) for seconds in ends] == expected


class Clock:
    """A clock that moves when a run takes time and when the supervisor waits for an end."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def wait(self, changed: Callable[[], bool], timeout_seconds: float) -> None:
        if not changed():
            self.seconds += timeout_seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def datasite(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Datasite]:
    made = make_datasite(tmp_path / "north", now=clock)
    monkeypatch.setattr(made.queue, "wait", clock.wait)
    yield made
    made.close()


def noted(owner: Any, name: str, clock: Clock, times: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes when something is written that others can see."""
    write = getattr(owner, name)

    def note(*args: Any, **options: Any) -> Any:
        times.append(clock.seconds)
        return write(*args, **options)

    monkeypatch.setattr(owner, name, note)


@pytest.mark.parametrize("seconds", [0.0, 0.21, 0.26, 0.2624, 1.0, 36_000.0])
@pytest.mark.parametrize("ends", ["done", "failed"])
def test_all_that_shows_a_runs_end_is_written_at_a_time_of_the_grid(
    datasite: Datasite, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, ends: str
) -> None:
    times: list[float] = []
    begun = clock.seconds

    def run(cancelled: object, progress: object) -> None:
        clock.seconds += seconds
        noted(datasite.ledger, "commit", clock, times, monkeypatch)
        noted(datasite.audit, "write", clock, times, monkeypatch)
        noted(datasite.queue, "_end", clock, times, monkeypatch)
        if ends == "failed":
            raise RunFailed("It ended.")

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == ends
    assert len(times) == 3
    assert times == pytest.approx([begun + visible_seconds(seconds)] * 3, abs=1e-9)


@pytest.mark.parametrize("ends", ["done", "failed"])
def test_an_accounts_quota_shows_no_end_earlier(
    datasite: Datasite, clock: Clock, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    used: list[int] = []

    def run(cancelled: object, progress: object) -> None:
        used.append(sum(datasite.blobs._used.values()))
        if ends == "failed":
            raise RunFailed("It ended.")

    def wait(changed: Callable[[], bool], timeout_seconds: float) -> None:
        used.append(sum(datasite.blobs._used.values()))
        clock.wait(changed, timeout_seconds)

    monkeypatch.setattr(datasite.queue, "wait", wait)
    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == ends
    assert len(used) > 1 and len(set(used)) == 1


def test_a_cancelled_run_is_not_waited_for(datasite: Datasite, clock: Clock) -> None:
    def run(cancelled: object, progress: object) -> None:
        clock.seconds += 100.0
        datasite.cancel()

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "cancelled" and datasite.run().update_digest == ""
    assert clock.seconds == 1100.0


def test_a_researcher_sees_the_same_of_a_small_and_of_a_large_dataset(datasite: Datasite) -> None:
    """Both are running; how many of its batches the one has, and how far it is, nobody outside can tell."""
    seen: list[list[dict[str, Any]]] = []
    for index, batches in enumerate((2, 31)):

        def run(
            cancelled: object, progress: Callable[[float], None], index: int = index, batches: int = batches
        ) -> None:
            public = []
            for batch in range(batches):
                progress((batch + 1) / batches)
                public.append(to_plain(datasite.run(index).public()))
            assert datasite.run(index).progress == 1.0, "the hospital's own people see it"
            seen.append(public)

        datasite.fork_server.during = run
        datasite.ask(index)
        datasite.execute(index)
    small, large = seen
    assert all(view == small[0] for view in small) and all(view == large[0] for view in large)
    differ = {"run", "round"}
    assert {name: value for name, value in small[0].items() if name not in differ} == {
        name: value for name, value in large[0].items() if name not in differ
    }


def test_what_is_told_of_a_run_is_what_the_contract_declares(datasite: Datasite) -> None:
    told = datasite.ask()
    assert set(told) == {one.name for one in fields(RunAnswer)}
    assert not {"progress", "attempt", "created", "started", "ended"} & set(told)
