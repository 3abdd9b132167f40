"""Runs as server-sent events: open pages hear at most once a second of what moves, from one look for all."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool

from datasites.pages.daily.run_lines import RunLine, line_of
from datasites.pages.languages.languages import Language
from datasites.runs.queue import Run

MOST_STREAMS, MOST_STREAMS_OF_A_SESSION = 24, 3
MOST_RUNS = 200
SECONDS = 1.0
SILENT_SECONDS = 15.0
# An ended run is told of for so long: a page that was drawn before its end, or lost its way for a while, hears of it.
TOLD_SECONDS = 120.0


class RunStream:
    """Streams of one datasite.

    Guarantees:
        However many streams are open, the queue is asked at most once in `SECONDS`. A stream ends with its session,
        and there are at most `MOST_STREAMS`, of one session `MOST_STREAMS_OF_A_SESSION`.

    Args:
        moving: Runs under way, waiting, or ended since a time: see `RunQueue.moving`.
        seconds: Between two looks.
        now: The time, in seconds since 1970.
    """

    def __init__(
        self,
        moving: Callable[[float, int], Sequence[Run]],
        *,
        seconds: float = SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._moving, self._seconds, self._now = moving, seconds, now
        self._lock = threading.Lock()
        self._looked, self._runs = 0.0, tuple[Run, ...]()
        self._open: list[str] = []

    async def events(self, session_id: str, is_open: Callable[[], bool], language: Language) -> AsyncIterator[str]:
        """The text of one stream, as a browser's EventSource reads it.

        Args:
            session_id: For whose session.
            is_open: Whether that session still is.
            language: Of its words.
        """
        with self._place(session_id) as taken:
            if not taken:
                yield _event("full", [])
                return
            told: list[RunLine] | None = None
            silent = 0.0
            while await run_in_threadpool(is_open):
                runs, at = await run_in_threadpool(self._look)
                lines = [line_of(run, at, language) for run in runs]
                silent += self._seconds
                if lines != told:
                    yield _event("runs", lines if told is None else [line for line in lines if line not in told])
                    told, silent = lines, 0.0
                elif silent >= SILENT_SECONDS:
                    yield ": still here\n\n"
                    silent = 0.0
                await asyncio.sleep(self._seconds)
            yield _event("ended", [])

    def _look(self) -> tuple[tuple[Run, ...], float]:
        """The runs that move, and when they were looked at."""
        with self._lock:
            now = self._now()
            if now - self._looked >= self._seconds or now < self._looked:
                self._looked, self._runs = now, tuple(self._moving(now - TOLD_SECONDS, MOST_RUNS))
            return self._runs, self._looked

    @contextmanager
    def _place(self, session_id: str) -> Iterator[bool]:
        with self._lock:
            taken = len(self._open) < MOST_STREAMS and self._open.count(session_id) < MOST_STREAMS_OF_A_SESSION
            if taken:
                self._open.append(session_id)
        try:
            yield taken
        finally:
            if taken:
                with self._lock:
                    self._open.remove(session_id)


def _event(name: str, lines: Sequence[RunLine]) -> str:
    return f"event: {name}\ndata: {json.dumps([asdict(line) for line in lines])}\n\n"
