"""Requests that wait for a run to change. They hold neither a thread nor a place of their researcher's share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from datasites.researchers_port.fair_share import aside
from datasites.runs.queue import RunQueue

LOOK_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class _Waiting:
    """One request: what it waits for, and how it is told in its own event loop."""

    changed: Callable[[], bool]
    loop: asyncio.AbstractEventLoop
    told: asyncio.Event

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the request with it
            self.loop.call_soon_threadsafe(self.told.set)


class LongPolls:
    """All that wait on one queue. A single thread looks for all of them, after each change of the queue."""

    def __init__(self, queue: RunQueue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._waiting: set[_Waiting] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="long-polls", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more; whoever waits finds its time up."""
        self._stopping.set()
        self._queue.wake()
        self._thread.join()

    async def until(self, changed: Callable[[], bool], seconds: float, request: Request) -> None:
        """Returns once `changed()` holds, after so many seconds, or when the peer has gone.

        Args:
            changed: Called in other threads.
            seconds: At most so long.
            request: Who waits; its whole body has come.
        """
        with self._registered(changed) as told:
            if seconds <= 0 or await run_in_threadpool(changed):
                return
            async with aside(request.scope):
                ends = [asyncio.ensure_future(told.wait()), asyncio.ensure_future(_gone(request))]
                try:
                    await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for end in ends:
                        end.cancel()

    @contextlib.contextmanager
    def _registered(self, changed: Callable[[], bool]) -> Iterator[asyncio.Event]:
        waiting = _Waiting(changed, asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._waiting.add(waiting)
        try:
            yield waiting.told
        finally:
            with self._lock:
                self._waiting.discard(waiting)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._queue.wait(self._tell_changed, timeout_seconds=LOOK_SECONDS)

    def _tell_changed(self) -> bool:
        """Tells those for whom the queue has changed; holds when it is time to stop."""
        with self._lock:
            waiting = [one for one in self._waiting if not one.told.is_set()]
        for one in waiting:
            if one.changed():
                one.tell()
        return self._stopping.is_set()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
