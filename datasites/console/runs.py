"""Routes about runs: what is queued, running, done. Only an admin's; nothing of a run's pictures is in an answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import RunPage, RunRow
from datasites.console.console import CHANGES, Console
from datasites.runs.queue import Run

MOST_ON_A_PAGE = 500


def make_routes(console: Console) -> APIRouter:
    """List, cancel."""
    router = APIRouter(prefix="/runs")

    @router.get("")
    async def runs(
        request: Request, state: str | None = None, after: str | None = None, count: int = 50
    ) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: _page(console, state, after, count))

    @router.post("/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: _cancel(console, run_id))

    return router


def _page(console: Console, state: str | None, after: str | None, count: int) -> RunPage:
    count = max(1, min(count, MOST_ON_A_PAGE))
    found = console.queue.page(state=state, after=after, count=count + 1)
    rows = tuple(RunRow(**vars(run), queue_position=console.queue.position(run)) for run in found[:count])
    return RunPage(rows, rows[-1].id if len(found) > count else None)


def _cancel(console: Console, run_id: str) -> Run:
    """Cancels a queued or running run, named by the only beginning of its identifier.

    Raises:
        RequestUnknown: No run is named so, or several are.
    """
    run = console.queue.named(run_id)
    console.supervisor.cancel(run, by="the hospital")
    return console.queue.by_id(run.id) or run
