"""Runs: what is queued, running, done, and why one failed. Nothing of a run's pictures is in an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.console.answers import RunPage, RunRow
from datasites.console.console import CHANGES, READS, Console, router_below
from datasites.runs.queue import Run

MOST_ON_A_PAGE = 500
# The events of the audit log that hold why a run failed, and how many GPUs it has.
FAILED, STARTED = "run failed", "run started"


def make_routes(console: Console) -> APIRouter:
    """List, cancel."""
    router = router_below("/runs")

    @router.get("")
    async def runs(
        request: Request, state: str | None = None, after: str | None = None, count: int = 50
    ) -> JSONResponse:
        return await console.answer(request, READS, lambda who: run_page(console, state, after, count))

    @router.post("/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> JSONResponse:
        return await console.answer(request, CHANGES, lambda who: cancel_run(console, run_id))

    return router


@dataclass(frozen=True)
class RunStory:
    """One run, for the hospital's own people.

    Attributes:
        row: As the list shows it.
        researcher: Whose it is; empty where the account is gone.
        private: Why it failed, as the audit log says it; empty where it did not, or where nothing more is known.
        gpus: How many GPUs its latest attempt was leased, 0 where it ran on the processors; None before it began.
    """

    row: RunRow
    researcher: str
    private: str
    gpus: int | None = None


def run_page(console: Console, state: str | None, after: str | None, count: int) -> RunPage:
    """Some runs, the one asked for last first.

    Raises:
        RequestUnknown: `after` is no run.
    """
    count = max(1, min(count, MOST_ON_A_PAGE))
    found = console.queue.page(state=state, after=after, count=count + 1)
    before = console.queue.positions() if any(run.state == "queued" for run in found) else {}
    rows = tuple(RunRow(**vars(run), queue_position=before.get(run.id, 0)) for run in found[:count])
    return RunPage(rows, rows[-1].id if len(found) > count else None)


def run_story(console: Console, run_id: str) -> RunStory:
    """One run, named by the only beginning of its identifier.

    Raises:
        RequestUnknown: No run is named so, or several are.
        AuditBroken: Its end stands in a log that does not hold.
    """
    run = console.queue.named(run_id)
    private = str(_told(console, run, FAILED).get("detail") or "") if run.state == "failed" else ""
    gpus = _told(console, run, STARTED).get("gpus")
    row = RunRow(**vars(run), queue_position=console.queue.position(run))
    return RunStory(row, console.accounts.known(run.account), private, gpus if isinstance(gpus, int) else None)


def _told(console: Console, run: Run, event: str) -> Mapping[str, object]:
    """What the newest event of a kind says of a run; nothing where there is none."""
    found = console.books.audit.index.search(run.id, event=event, count=1).rows
    return next((one.details for one in found if one.details.get("run") == run.id), {})


def cancel_run(console: Console, run_id: str) -> Run:
    """Cancels a queued or running run, named by the only beginning of its identifier.

    Raises:
        RequestUnknown: No run is named so, or several are.
    """
    run = console.queue.named(run_id)
    console.supervisor.cancel(run, by="the hospital")
    return console.queue.by_id(run.id) or run
