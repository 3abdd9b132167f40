"""The roster of a study: which hospitals its rounds go to, looked at before each, since people decide when they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, wait

from policies.answers.requests import with_reason
from policies.errors import (
    AccountUnknown,
    AuditUnavailable,
    BooksBehind,
    BudgetError,
    ClocksDiffer,
    DatasiteUnreachable,
    DiskFull,
    LedgerUnavailable,
    QuotaExceeded,
    RequestError,
    RoundRefused,
    StorageUnavailable,
    WanwuError,
)
from researcher.hospitals.connections.connecting import NOT_LET_IN

# After these a hospital is asked no more, and after those once it answers, or lets in, again; after any other, in the
# next round.
REFUSALS = (BudgetError, RequestError, AccountUnknown)
NOT_HEARD = (DatasiteUnreachable, ClocksDiffer, *NOT_LET_IN)
FOR_NOW = (*NOT_HEARD, DiskFull, QuotaExceeded, StorageUnavailable, LedgerUnavailable, AuditUnavailable, BooksBehind)
LOOK_SECONDS = 2.0
"""So long from its beginning a round waits for those that were not there; who answers later may be in the next one."""
Told = tuple[str, str]


class Roster:
    """The hospitals of one study by what is known of each now.

    Attributes:
        approved: Those that a round is asked of.
        undecided: Those whose people have not decided, with what is told of them.
        away: Those that approved, as far as is known, and cannot be asked now, with the reason.
        gone: Those that will not be asked again in this session, with the reason.
        locked_out: Those of `away` that take these credentials no more, and have no others to try: a round does not
            wait for them, and they are back once others lie in their place.
    """

    def __init__(self, names: Iterable[str], ask: Callable[[str], Told]) -> None:
        """Knows nothing yet: `look` asks.

        Args:
            names: The study's hospitals.
            ask: Asks a hospital for (state, reason) of the study's request.
        """
        self._order, self._ask = list(names), ask
        self._asking: dict[str, Future[Told]] = {}
        self.approved: set[str] = set()
        self.undecided: dict[str, str] = {}
        self.away: dict[str, str] = dict.fromkeys(self._order, "has not answered, or its canary has not ended, yet")
        self.gone: dict[str, str] = {}
        self.locked_out: set[str] = set()

    @property
    def taking_part(self) -> list[str]:
        """Those that a round is asked of, in the study's order."""
        return [name for name in self._order if name in self.approved]

    @property
    def left_out(self) -> dict[str, str]:
        """The others, each with what is told of it."""
        told = {**self.undecided, **self.away, **self.gone}
        return {name: told[name] for name in self._order if name in told}

    @property
    def may_come(self) -> int:
        """How many approved, or still may."""
        return len(self._order) - len(self.gone)

    @property
    def waited_for(self) -> int:
        """How many of those that are away are worth waiting for."""
        return len(self.away) - len(self.locked_out)

    @property
    def answering(self) -> list[Future[Told]]:
        """The answers that are still to come, or to be heard."""
        return list(self._asking.values())

    def look(
        self, pool: Executor, *, seconds: float = LOOK_SECONDS, enough: int | None = None
    ) -> Collection[Future[Told]]:
        """Asks those that were not there, beside each other; one that is slow to answer is heard later.

        Args:
            pool: Where to ask.
            seconds: How long to wait for the answers of those that are asked now.
            enough: So many approvals end the waiting.

        Returns:
            The answers of those that are asked now.
        """
        absent = [*self.undecided, *self.away]
        asked = {name: pool.submit(self._ask, name) for name in absent if name not in self._asking}
        self._asking |= asked
        until, left = time.monotonic() + seconds, set(asked.values())
        while left and (enough is None or len(self.approved) < enough) and time.monotonic() < until:
            first = ALL_COMPLETED if enough is None else FIRST_COMPLETED
            left = wait(left, timeout=max(until - time.monotonic(), 0.0), return_when=first).not_done
            self.hear()
        self.hear()
        return asked.values()

    def hear(self) -> bool:
        """Takes the answers that have come since the last look; whether there were any."""
        answered = [name for name, answer in self._asking.items() if answer.done()]
        for name in answered:
            self._take(name, self._asking.pop(name))
        return bool(answered)

    def look_until(self, enough: int, pool: Executor, *, seconds: float, deadline: float | None = None) -> None:
        """Looks until so many approved, none of the others can, or the time is up.

        Whoever is still answering is waited for: people decide fast, and a canary has its turn after other runs.

        Args:
            enough: So many.
            pool: Where to ask.
            seconds: How long those that are out of reach are waited for, where the others are too few.
            deadline: After so many seconds those that are enough do not wait for the others' answers; None waits.
        """
        begun = time.monotonic()
        until = begun + seconds
        while True:
            self.look(pool, enough=enough if deadline == 0.0 else None)
            now = time.monotonic()
            if self._asking and (len(self.approved) < enough or deadline is None or now < begun + deadline):
                until = now + seconds
                wait(self._asking.values(), timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                continue
            if len(self.approved) >= enough or not self.waited_for or now >= until:
                return
            time.sleep(0.2)

    def fail(self, name: str, error: WanwuError) -> None:
        """A hospital did not do what it was asked: says for how long it is left out, if at all."""
        if isinstance(error, FOR_NOW):
            self._set(name, self.away, f"{error.code}: {error.public}")
        elif isinstance(error, REFUSALS) and not isinstance(error, RoundRefused):
            self._set(name, self.gone, f"{error.code}: {error.public}")

    def _take(self, name: str, answer: Future[Told]) -> None:
        try:
            state, reason = answer.result()
        except DatasiteUnreachable as error:
            self._set(name, self.away, with_reason("unreachable", error.public))
        except FOR_NOW as error:
            self._set(name, self.away, f"{error.code}: {error.public}")
            if isinstance(error, NOT_LET_IN):
                self.locked_out.add(name)
        except WanwuError as error:
            self._set(name, self.gone, with_reason("refused", f"{error.code}: {error.public}"))
        else:
            told = with_reason(state, reason)
            if state == "approved":
                self._set(name, None, told)
            else:
                self._set(name, self.undecided if state == "pending" else self.gone, told)

    def _set(self, name: str, group: dict[str, str] | None, told: str) -> None:
        self.approved.discard(name)
        self.locked_out.discard(name)
        for other in (self.undecided, self.away, self.gone):
            other.pop(name, None)
        if group is None:
            self.approved.add(name)
        else:
            group[name] = told
