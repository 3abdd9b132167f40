"""Pages of runs: which wait, run and have ended, how far each is, and why one failed. Events keep them current."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.responses import StreamingResponse

from datasites.access.sessions import Sessions
from datasites.console.answers import RunPage
from datasites.console.console import CHANGES, READS
from datasites.console.runs import RunStory
from datasites.pages.daily.run_lines import line_of
from datasites.pages.daily.run_stream import RunStream
from datasites.pages.frame.state_words import state_word
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate

STATES = ("running", "queued", "done", "failed", "cancelled")
ON_A_PAGE = 50


def make_pages(
    sessions: Sessions,
    stream: RunStream,
    page: Callable[[str | None, str | None, int], RunPage],
    story: Callable[[str], RunStory],
    cancel: Callable[[str], object],
) -> Pages:
    """The list, one run, cancelling, and the stream of events.

    Args:
        sessions: With which a stream ends.
        stream: Of events.
        page: Of runs in a state, after one, so many.
        story: Of the run with that identifier.
        cancel: The run with that identifier.
    """
    pages = Pages()

    @pages.get("/runs", READS, place=to_translate("Runs"))
    def every(visit: Visit) -> Answer:
        state = visit.query.get("state")
        state = state if state in STATES else ""
        after = visit.query.get("after")
        found, now = page(state or None, after or None, ON_A_PAGE), time.time()
        lines = [(row, line_of(row, now, visit.language)) for row in found.rows]
        states = [("", visit.gettext("all")), *((one, visit.gettext(state_word(one).text)) for one in STATES)]
        values = {"lines": lines, "next": found.next, "state": state, "states": states, "first": not after}
        return Page("daily/runs.html.jinja", values)

    @pages.get("/runs/events", READS, by_itself=True)
    def events(visit: Visit) -> Answer:
        def is_open() -> bool:
            return sessions.find(visit.session_id, used=False) is not None

        told = stream.events(visit.session_id, is_open, visit.language)
        return StreamingResponse(told, media_type="text/event-stream")

    @pages.get("/runs/{run}", READS)
    def one(visit: Visit) -> Answer:
        found = story(visit.params["run"])
        values = {"story": found, "line": line_of(found.row, time.time(), visit.language)}
        return Page("daily/run.html.jinja", {**values, "may_cancel": visit.who.role in CHANGES})

    @pages.post("/runs/{run}/cancel", CHANGES)
    def end(visit: Visit) -> Answer:
        cancel(visit.params["run"])
        return Onward(
            f"/runs/{visit.params['run']}", notice=visit.gettext("The run is cancelled, unless it had ended.")
        )

    return pages
