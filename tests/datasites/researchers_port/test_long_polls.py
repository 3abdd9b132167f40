"""Requests that wait for a run hold no thread, hear of its change, and end with their peer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from datasites.researchers_port.long_polls import LongPolls
from datasites.runs.queue import RunQueue

MANY = 200


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RunQueue]:
    opened = RunQueue(tmp_path / "runs.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def polls(queue: RunQueue) -> Iterator[LongPolls]:
    started = LongPolls(queue)
    started.start()
    yield started
    started.stop()


async def never() -> Any:
    await asyncio.Event().wait()


async def gone() -> Any:
    return {"type": "http.disconnect"}


STAYS, LEAVES = Request({"type": "http"}, never), Request({"type": "http"}, gone)


def changed(queue: RunQueue) -> bool:
    return queue.find("r", 0) is not None


def test_many_wait_and_every_thread_is_free(queue: RunQueue, polls: LongPolls) -> None:
    async def run() -> None:
        waiting = [asyncio.create_task(polls.until(lambda: changed(queue), 600, STAYS)) for _ in range(MANY)]
        while len(polls._waiting) < MANY:
            await asyncio.sleep(0.01)
        barrier = threading.Barrier(40)  # as many as the loop has threads: it opens only if none is taken
        await asyncio.gather(*(run_in_threadpool(barrier.wait, 60) for _ in range(40)))
        assert not any(task.done() for task in waiting)
        await run_in_threadpool(queue.enqueue, request_id="r", round_index=0, account="a", weights="w")
        await asyncio.gather(*waiting)
        assert not polls._waiting

    asyncio.run(run())


def test_what_has_changed_already_and_what_may_not_wait_is_answered_at_once(queue: RunQueue, polls: LongPolls) -> None:
    asyncio.run(polls.until(lambda: True, 600, STAYS))
    asyncio.run(polls.until(lambda: False, 0, STAYS))


def test_a_peer_that_leaves_ends_its_wait(polls: LongPolls) -> None:
    asyncio.run(polls.until(lambda: False, 600, LEAVES))
    assert not polls._waiting


def test_the_time_is_up_without_a_change(polls: LongPolls) -> None:
    asyncio.run(polls.until(lambda: False, 0.01, STAYS))
    assert not polls._waiting
