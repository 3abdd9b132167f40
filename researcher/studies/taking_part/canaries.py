"""Canaries of a study: before its first round at a hospital, two steps of the plan run there on the mock.

They cost nothing. A hospital whose canary fails is left out before a round is charged anywhere; one that is approved
later runs its canary before its own first round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from policies.answers.runs import ENDED
from policies.errors import DatasiteUnreachable, RoundRefused
from policies.untrusted_text import shown
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.hospital import Hospital
from researcher.studies.remote_round import RoundEvent
from researcher.studies.retry_policy import Backoff
from researcher.studies.taking_part.canary_end import CanaryEnd

_T = TypeVar("_T")
_TRIES = 5
FAILED = "canary failed"
Told = tuple[str, str]


class Canaries:
    """Asks each hospital for its canary once it approved.

    A hospital keeps a canary that passed: asked again, in a later session too, it answers at once. One that failed runs
    again when it is asked for; how often at most for one approval is for the hospital to say.

    Attributes:
        ended: Datasite → how its canary ended, of those that told it in this session.
    """

    def __init__(
        self,
        decided: Callable[[str], Told],
        hospital: Callable[[str], Hospital],
        requests: dict[str, CodeRequest],
        on_event: Callable[[RoundEvent], None],
    ) -> None:
        """Asks for nothing yet.

        Args:
            decided: Asks a hospital for (state, reason) of the study's request.
            hospital: The hospital of a name, connected.
            requests: Hospital → its request.
            on_event: Told what a hospital is doing.
        """
        self._decided, self._hospital, self._requests, self._on_event = decided, hospital, requests, on_event
        self._stopping = threading.Event()
        self.ended: dict[str, CanaryEnd] = {}

    def stop(self) -> None:
        """Waits for none any more."""
        self._stopping.set()

    def told(self, name: str) -> Told:
        """(state, reason) of the request at a hospital; `approved` once its canary passed.

        Raises:
            WanwuError: It cannot be reached, or refuses.
        """
        state, reason = self._decided(name)
        if state != "approved":
            return state, reason
        routes, request = self._hospital(name).routes, self._requests[name].request_id
        try:
            run = self._reaching(lambda: routes.ask_for_canary(request))
        except RoundRefused as error:  # it failed as often as one approval allows
            return FAILED, f"{error.code}: {shown(error.public, most=2000)}"
        while run.state not in ENDED:
            self._on_event(RoundEvent(name, 0, f"canary {run.state}", queue_position=run.queue_position))
            if self._stopping.is_set():
                raise DatasiteUnreachable("Nobody waits for its canary any more.")
            run = self._reaching(partial(routes.canary, request, seen=run.version, wait_seconds=10.0))
        if run.state == "done":
            self.ended[name] = CanaryEnd.now()
            return state, reason
        why = f"{run.code}: {shown(run.reason)}"
        self.ended[name] = CanaryEnd.now(why)
        self._on_event(RoundEvent(name, 0, "failed", f"{FAILED}: {why}"))
        return FAILED, f"{why} Nothing was charged."

    def _reaching(self, ask: Callable[[], _T]) -> _T:
        """Asks again a few times where the line breaks."""
        backoff = Backoff()
        for _ in range(_TRIES - 1):
            try:
                return ask()
            except DatasiteUnreachable:
                backoff.pause(self._stopping)
        return ask()
