"""Routes about runs: what is queued, running, done. Only an admin's; nothing of a run's pictures is in an answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import RunRow
from datasites.console.console import CHANGES, Console
from datasites.runs.queue import Run
from policies.errors import RequestUnknown


def make_routes(console: Console) -> APIRouter:
    """List, cancel."""
    router = APIRouter(prefix="/runs")

    @router.get("")
    async def runs(request: Request) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: _runs(console))

    @router.post("/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: _cancel(console, run_id))

    return router


def _runs(console: Console) -> list[RunRow]:
    return [RunRow(**vars(run), queue_position=console.queue.position(run)) for run in console.queue.list()]


def _cancel(console: Console, run_id: str) -> Run:
    """Cancels a queued or running run.

    Raises:
        RequestUnknown: No run has that identifier.
    """
    run = console.queue.by_id(run_id)
    if run is None:
        raise RequestUnknown(f"There is no run {run_id!r}.")
    console.supervisor.cancel(run, by="the hospital")
    return console.queue.by_id(run.id) or run
