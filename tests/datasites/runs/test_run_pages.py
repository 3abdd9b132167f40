"""Runs are listed by pages, the one asked for last first, and named by the beginning of their identifiers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.runs.queue import RunQueue
from policies.errors import RequestUnknown


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RunQueue]:
    """Seven rounds of one request; the third has failed."""
    made = RunQueue(tmp_path / "runs.sqlite")
    with contextlib.closing(made):
        for index in range(7):
            made.enqueue(request_id="r1", round_index=index, account="ab", weights="cd")
        third = made.find("r1", 2)
        assert third is not None
        made.fail(third.id, code="WW501", reason="it did")
        yield made


def test_pages_follow_one_another_also_when_a_run_is_tried_again(queue: RunQueue) -> None:
    first = queue.page(count=3)
    queue.enqueue(request_id="r1", round_index=2, account="ab", weights="cd")
    queue.enqueue(request_id="r1", round_index=7, account="ab", weights="cd")
    rest = queue.page(after=first[-1].id, count=9)
    assert [run.round for run in (*first, *rest)] == [6, 5, 4, 3, 2, 1, 0]
    with pytest.raises(RequestUnknown):
        queue.page(after="nothing")


def test_states_are_listed_apart(queue: RunQueue) -> None:
    assert [run.round for run in queue.page(state="failed")] == [2]
    assert [run.round for run in queue.page(state="queued", count=2)] == [6, 5]


def test_only_a_queued_run_has_a_place_in_the_queue(queue: RunQueue) -> None:
    (failed,), (last, *_) = queue.page(state="failed"), queue.page()
    assert (queue.position(failed), queue.position(last)) == (0, 5)


def test_a_beginning_names_one_run(queue: RunQueue) -> None:
    runs = queue.page()
    assert queue.named(runs[3].id) == runs[3]
    longest = max(len(_common(runs[3].id, run.id)) for run in runs if run != runs[3])
    assert queue.named(runs[3].id[: longest + 1]) == runs[3]
    for beginning in ("", "zz", "%", "_" * 16):
        with pytest.raises(RequestUnknown):
            queue.named(beginning)


def _common(one: str, other: str) -> str:
    length = next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
    return one[:length]
