"""One round at one hospital, from the researcher's side: weights up, ticket, progress, client update down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from policies.answers.runs import ENDED, ChargedRunAnswer, RunAnswer
from policies.contracts.encodings import largest_size
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import checked_update
from policies.errors import FederationError, RequestUnknown, RunFailed, RunLost
from policies.plans.kinds import Plan
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.connections.answered_errors import raise_answer
from researcher.hospitals.connections.connecting import NOT_LET_IN
from researcher.hospitals.hospital import Hospital
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.rounds.datasite_round import DatasiteRound
from researcher.studies.rounds.fetched_update import fetch, kept_here, unreadable
from researcher.studies.rounds.outgoing import Outgoing
from researcher.studies.rounds.reaching import NOT_REACHED, reaching

_T = TypeVar("_T")
AT_WORK = ("queued", "running", "done")
"""States of a run whose update may come."""
_FORGOTTEN = (
    "It took round {} and knows nothing of it any more, as after a restore. Ask its people whether its ledger has all "
    "that was charged, which the receipts that you have show, and run the study again then."
)


@dataclass(frozen=True)
class RoundEvent:
    """What a hospital is doing in a round; for a progress display.

    Attributes:
        datasite: Which hospital.
        round: Rounds before this one; the ticket's number.
        state: `canary queued`, `canary running`, `sending`, `queued`, `running`, `receiving`, `done`, `failed`,
            `cancelled` or `unreachable`.
        queue_position: Runs before this one, while it is queued.
    """

    datasite: str
    round: int
    state: str
    reason: str = ""
    queue_position: int = 0


@dataclass
class RemoteRound:
    """One hospital's part of a round.

    Attributes:
        hospital: Which.
        dataset: Name of its dataset.
        request: The approved code request.
        plan: The approved plan.
        round_index: The ticket's number.
        retry_policy: How long to wait and how often to try.
        stopping: Set when nobody waits for this hospital's part any more.
        on_event: Told what the hospital is doing.
        resumes: Whether the hospital may be at this round already, asked before the researcher's side was stopped.
        known: What the hospital has told of its run since; None if it is to be asked.
        dropped: An earlier round of this hospital that is cancelled before this one is asked for; None if none is.
        taken: Whether the hospital has told of this round's run in this session.
        asked: Whether the hospital may have been asked: from then on it may have charged the round.
        epsilon: What the hospital's ledger says that the request has spent, once the round has ended there; also of a
            round that gave nothing.
    """

    hospital: Hospital
    dataset: str
    request: CodeRequest
    plan: Plan
    round_index: int
    retry_policy: RetryPolicy
    stopping: threading.Event
    on_event: Callable[[RoundEvent], None]
    resumes: bool = False
    known: RunAnswer | None = None
    dropped: int | None = None
    asked: bool = False
    taken: bool = False
    epsilon: float | None = None

    @property
    def outstanding(self) -> int | None:
        """The round that the hospital may have charged by now, and that this one stands for; None if there is none."""
        return self.dropped if self.dropped is not None else self.round_index if self.asked else None

    def run(self, weights: Outgoing, shapes: Mapping[str, tuple[int, ...]]) -> DatasiteRound:
        """Returns the client update of this round.

        Args:
            weights: What hospitals are sent.
            shapes: Names and shapes that the update must have.

        Raises:
            RunLost: The round was charged and gave nothing; the hospital runs it no more.
            WanwuError: The hospital refused, its run could not be started in `attempts` tries, or nothing came of it
                for as long as the retry policy waits.
        """
        if self.dropped is not None:
            self.cancel(self.dropped)
            self.dropped = None
        for last_try in [False] * (self.retry_policy.attempts - 1) + [True]:
            try:
                return self._attempt(weights, shapes)
            except RunFailed as error:
                self._say("failed", reason=error.public)
                if last_try or isinstance(error, RunLost) or self.stopping.is_set():
                    raise
        raise RunFailed("The hospital was not asked: RetryPolicy.attempts must be at least 1.")

    def fetch(self, shapes: Mapping[str, tuple[int, ...]]) -> DatasiteRound:
        """Returns the client update of a round that was asked for earlier; asks for nothing anew.

        Raises:
            RequestUnknown: It was never asked for.
            WanwuError: It gave no update, or as `run`.
        """
        self.asked = True
        begun = time.monotonic()
        return self._receive(0, begun, begun, shapes, None)

    def cancel(self, round_index: int) -> bool:
        """Cancels a round of this hospital that nobody waits for: one that has not started there costs nothing.

        Returns:
            Whether the hospital had been asked for it.

        Raises:
            DatasiteUnreachable: It does not answer for as long as the retry policy waits.
        """
        try:
            answer = self._reaching(lambda: self.hospital.routes.cancel(self.request.request_id, round_index))
        except RequestUnknown:
            return False
        if isinstance(answer, ChargedRunAnswer):
            self.epsilon = answer.epsilon_spent
        return True

    def _attempt(self, weights: Outgoing, shapes: Mapping[str, tuple[int, ...]]) -> DatasiteRound:
        begun = time.monotonic()
        if (run := self._there()) is not None:
            return self._receive(0, begun, begun, shapes, run)
        self._say("sending")
        if (sent := self._together(weights)) is not None:
            run, size = sent
        else:
            digest, size = self._reaching(lambda: self._send(weights))
            self._check_wanted()
            self.asked = True
            ticket = Ticket(round=self.round_index, weights=digest)
            run = self._reaching(lambda: self.hospital.ask(self.dataset, self.request, ticket))
        self.taken = True
        return self._receive(size, begun, time.monotonic(), shapes, run)

    def _together(self, weights: Outgoing) -> tuple[RunAnswer, int] | None:
        """Sends small weights with their ticket; the run and how many bytes it was.

        None where the hospital takes them one after the other, or the line broke: then it goes on where that was.
        """
        with weights.to(self.hospital.name) as sent:
            if not self.hospital.routes.takes_together(len(sent.content)):
                return None
            self.asked = True
            ticket = Ticket(round=self.round_index, weights=sent.digest)
            try:
                return self.hospital.ask_with(self.dataset, self.request, ticket, sent.content), len(sent.content)
            except NOT_REACHED:
                return None
            except NOT_LET_IN:  # it took nothing
                self.asked = False
                raise

    def _send(self, weights: Outgoing) -> tuple[str, int]:
        """Sends what this hospital is to have; returns its digest and how many bytes it is."""
        with weights.to(self.hospital.name) as sent:
            self.hospital.routes.put_blob(sent.content, digest=sent.digest)
            return sent.digest, len(sent.content)

    def _there(self) -> RunAnswer | None:
        """The run, if the hospital is at the round, or has done it, since it was asked before: it is not again."""
        resumes, self.resumes = self.resumes, False
        known, self.known = self.known, None
        try:
            run = known or self._reaching(partial(self._ask, -1)) if resumes else None
        except RequestUnknown:
            return None
        self.asked = self.asked or run is not None
        return run if run is not None and run.state in AT_WORK else None

    def _receive(
        self, bytes_up: int, begun: float, sent: float, shapes: Mapping[str, tuple[int, ...]], told: RunAnswer | None
    ) -> DatasiteRound:
        """Waits for the run's end and takes its update; `told` is what the hospital has told of the run so far."""
        routes = self.hospital.routes
        run, started = self._follow(told)
        trained = time.monotonic()
        self.epsilon = run.epsilon_spent if isinstance(run, ChargedRunAnswer) else None
        if run.state != "done":
            raise_answer(run.code, run.reason)
        self._check_wanted()
        self._say("receiving")
        encoding = self.plan.update_encoding
        limit = largest_size(shapes, encoding)
        with kept_here(self.hospital.name) as file:
            size = fetch(lambda: self._reaching(lambda: routes.get_blob(run.update, file, max_bytes=limit)))
            failing = partial(unreadable, self.hospital.name)
            update = checked_update(file, shapes, max_bytes=limit, encoding=encoding, told=failing)
        ended = time.monotonic()
        self._say("done")
        return DatasiteRound(
            update=update,
            bytes_up=bytes_up,
            bytes_down=size,
            queue_seconds=started - sent,
            transfer_seconds=(sent - begun) + (ended - trained),
            train_seconds=trained - started,
            epsilon=self.epsilon,
            arrived=ended,
        )

    def _follow(self, told: RunAnswer | None) -> tuple[RunAnswer, float]:
        """Waits until the run has ended; returns its last public fields and when it left the queue."""
        seen, started, moved = -1, None, time.monotonic()
        while True:
            run = self._known(seen) if told is None or _says_less(told) else told
            told = None
            if run.version != seen:
                seen, moved = run.version, time.monotonic()
            if started is None and run.state != "queued":
                started = time.monotonic()
            if run.state in ENDED:
                return run, started or time.monotonic()
            self._say(run.state, queue_position=run.queue_position)
            if time.monotonic() - moved > self.retry_policy.stalled_seconds:
                raise FederationError(
                    f"The round showed no progress for {self.retry_policy.stalled_seconds:g} seconds. Ask the "
                    "hospital, or raise stalled_seconds."
                )
            self._check_wanted()

    def _known(self, seen: int) -> RunAnswer:
        """What the hospital says of the run.

        Raises:
            RequestUnknown: It was never asked for; or it is forgotten, which is said.
        """
        try:
            run = self._reaching(partial(self._ask, seen))
        except RequestUnknown as error:
            if not self.taken:
                raise
            raise RequestUnknown(_FORGOTTEN.format(self.round_index + 1)) from error
        self.taken = True
        return run

    def _ask(self, seen: int) -> RunAnswer:
        return self.hospital.routes.run(self.request.request_id, self.round_index, seen=seen, wait_seconds=10.0)

    def _check_wanted(self) -> None:
        if self.stopping.is_set():
            raise FederationError("The round ended without this hospital.")

    def _reaching(self, ask: Callable[[], _T]) -> _T:
        """Asks again while the datasite cannot be reached; see `reaching`."""
        return reaching(
            ask,
            self.hospital.routes,
            seconds=self.retry_policy.unreachable_seconds,
            stopping=self.stopping,
            on_failure=lambda reason: self._say("unreachable", reason=reason),
        )

    def _say(self, state: str, reason: str = "", queue_position: int = 0) -> None:
        event = RoundEvent(self.hospital.name, self.round_index, state, reason, queue_position)
        self.on_event(event)


def _says_less(told: RunAnswer) -> bool:
    """Whether it is of a run that has ended, without what that cost: a ticket's answer does not say it."""
    return told.state in ENDED and not isinstance(told, ChargedRunAnswer)
