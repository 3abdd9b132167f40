"""What the queue tells of all runs at once: which move now, and how many stand before each that waits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from datasites.runs.queue import Run, RunQueue


@pytest.fixture
def queue(tmp_path: Path) -> RunQueue:
    return RunQueue(tmp_path / "runs.sqlite")


def put(queue: RunQueue, number: int) -> Run:
    return queue.enqueue(request_id=f"{number:064x}", round_index=0, account="a", weights="w")


def test_runs_that_move_are_those_under_way_just_ended_and_waiting(queue: RunQueue) -> None:
    ended, running, waiting, next_one = (put(queue, number) for number in range(4))
    queue.take(ended.id)
    queue.finish(ended.id, "d")
    queue.take(running.id)
    now = time.time()
    assert [run.id for run in queue.moving(now - 60, 10)] == [running.id, ended.id, waiting.id, next_one.id]
    assert [run.id for run in queue.moving(now + 60, 2)] == [running.id, waiting.id]
    queue.close()


def test_the_places_of_all_are_those_of_each(queue: RunQueue) -> None:
    runs = [put(queue, number) for number in range(4)]
    assert queue.take(runs[1].id)
    queue.fail(runs[0].id, code="", reason="")
    again = put(queue, 0)
    assert queue.positions() == {runs[2].id: 1, runs[3].id: 2, again.id: 3}
    assert queue.positions() == {run.id: queue.position(run) for run in queue.waiting()}
    queue.close()
