"""The gathering of client updates: what is under way at a study's hospitals from round to round, and what comes of it.

A round ends with the updates that came once its time has passed (`RetryPolicy.longest`) and they are enough. A hospital
that is still at work then is late: it is asked for nothing new until its update has come, which counts in that later
round, or, where the plan says so, its run is cancelled.

Guarantees:
    A hospital has at most one round of a study under way, and each of its updates is handed over at most once.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import partial
from typing import Any

from policies.errors import ConfigError, NotEnoughDatasites, RequestUnknown, RoundRefused, RunLost, WanwuError
from policies.plans.server.local_part import shared
from policies.plans.training import TrainingPlan
from researcher.strategies import ClientUpdate, ServerState
from researcher.studies.asked_round import AskedRound
from researcher.studies.remote_round import RemoteRound
from researcher.studies.retry_policy import Backoff, RetryPolicy
from researcher.studies.rounds.came import Came, GivenUp
from researcher.studies.rounds.datasite_round import DatasiteRound
from researcher.studies.rounds.outgoing import Outgoing
from researcher.studies.taking_part.roster import LOOK_SECONDS, NOT_HEARD, Roster, Told

# How often it is looked at what nothing tells of; what arrives is taken at once, and a deadline is kept.
_LOOK_SECONDS = 1.0
At = Callable[[str, int, threading.Event], RemoteRound]


class Gathering:
    """Asks the hospitals for rounds, and gathers what comes."""

    def __init__(
        self,
        plan: TrainingPlan,
        roster: Roster,
        at: At,
        pool: Executor,
        *,
        outgoing: Callable[[ServerState], Outgoing],
        size_of: Callable[[str], int],
        needed: int,
        retry_policy: RetryPolicy,
        late: Mapping[str, int],
        asked: AskedRound,
        note: Callable[[AskedRound], None],
    ) -> None:
        """Begins with nothing under way.

        Args:
            plan: The study's plan.
            roster: Whom to ask.
            at: Makes one hospital's part of a round.
            pool: Where hospitals are asked beside each other.
            outgoing: What hospitals are sent in the round that begins with a state.
            size_of: The public size of a hospital that takes part.
            needed: Least number of updates.
            retry_policy: How long to wait.
            late: Hospital → round that it was asked for before this session, and whose update did not come.
            asked: The round that was under way when that session ended.
            note: Keeps whom a round is asked of, before they are.
        """
        self._plan, self._roster, self._at, self._pool = plan, roster, at, pool
        self._outgoing = outgoing
        self._size_of, self._needed, self._policy = size_of, max(needed, 1), retry_policy
        self._outstanding = {**dict.fromkeys(asked.datasites, asked.round), **late}
        self._asked, self._note = asked, note
        self._under_way: dict[Future[DatasiteRound], RemoteRound] = {}
        self._cancelling: dict[str, Future[None]] = {}
        self._enough_after: float | None = None
        self._never_asked = False
        self._answers: Collection[Future[Told]] = ()
        self._ended = threading.Event()

    @property
    def outstanding(self) -> dict[str, int]:
        """Hospital → the round that it may have charged, and whose update is neither here nor lost nor cancelled."""
        going = {there.hospital.name: there.outstanding for there in self._under_way.values()}
        return {**self._outstanding, **{name: of for name, of in going.items() if of is not None}}

    def arriving(self, state: ServerState, came: Came) -> Iterator[ClientUpdate]:
        """Client updates for this state in the order in which they arrive, until the round is over.

        Args:
            state: What the hospitals are sent.
            came: Filled on the way.

        Raises:
            GivenUp: They were too few, and no more can come of the round.
            NotEnoughDatasites: They were too few, and more may come when the round is asked for again.
            ConfigError: This machine has no room for an update, or cannot note whom it asks.
        """
        weights = self._outgoing(state)
        shapes = shared(self._plan, {name: array.shape for name, array in state.weights.items()})
        begun, backoff = time.monotonic(), Backoff(at_once=False)
        moved = begun
        self._enough_after = None
        self._answers = self._roster.look(self._pool, enough=self._needed)  # the others answer beside the round
        self._ask(state.round, weights, shapes, came)
        while not self._is_over(state.round, begun, came):
            if self._roster.hear() or self._never_asked:
                self._ask(state.round, weights, shapes, came)
            elif not self._under_way and len(came.names) < self._needed:
                self._check_more_may_come(state.round, came, moved)
                backoff.pause(self._ended)
                self._roster.look(self._pool)
                self._ask(state.round, weights, shapes, came)
            ended = self._wait(begun)
            came.waited_until = time.monotonic()
            for future in ended:
                update = self._take(self._under_way.pop(future), future, state.round, came)
                if update is not None:
                    moved, backoff = time.monotonic(), Backoff(at_once=False)
                    if self._enough_after is None and len(came.names) >= self._needed:
                        self._enough_after = moved - begun
                    yield update
        if self._plan.late_updates == "dropped":
            self._drop()

    def end(self, *, for_good: bool) -> dict[str, float]:
        """Stops waiting for what is under way.

        Args:
            for_good: Whether nobody will ask for it again, so that it is cancelled.

        Returns:
            Hospital → spent, of those whose run was cancelled.
        """
        self._ended.set()
        going, self._under_way = self._under_way, {}
        for there in going.values():
            there.stopping.set()
        if for_good:
            cancelling = [self._pool.submit(self._cancel, there, future) for future, there in going.items()]
            wait(cancelling, timeout=self._policy.unreachable_seconds)
        return {there.hospital.name: there.epsilon for there in going.values() if there.epsilon is not None}

    @property
    def gone(self) -> set[str]:
        """Those that will not be asked again."""
        return set(self._roster.gone)

    def left_out(self, round_index: int, came: Came) -> dict[str, str]:
        """Hospital → why its update is not in the mean."""
        late = {
            name: f"late: its update of round {of + 1} was not there when round {round_index + 1} ended"
            for name, of in self.outstanding.items()
        }
        told = {**late, **self._roster.left_out, **came.failed}
        return {name: reason for name, reason in told.items() if name not in came.names}

    # --- whom to ask ------------------------------------------------------------------------------------------

    def _ask(self, round_index: int, weights: Outgoing, shapes: Mapping[str, tuple[int, ...]], came: Came) -> None:
        """Asks who takes part, has nothing under way, and has not answered in this round."""
        self._never_asked = False
        busy = {there.hospital.name for there in self._under_way.values()} | came.names | set(came.failed)
        before = self._asked.at(round_index, weights.digest)
        parts: list[RemoteRound] = []
        for name in self._roster.taking_part:
            if name in busy:
                continue
            earlier = self._outstanding.pop(name, None)
            if earlier is None or earlier == round_index or self._plan.late_updates == "dropped":
                there = self._at(name, round_index, threading.Event())
                there.dropped = earlier if earlier != round_index else None
                there.resumes = name in before.datasites
            else:
                there = self._at(name, earlier, threading.Event())
                there.asked = True
            parts.append(there)
        if asked := [there.hospital.name for there in parts if not there.asked]:
            self._asked = before.with_more(asked)
            self._note(self._asked)
        for there in parts:
            run = partial(self._run, there, weights) if not there.asked else there.fetch
            self._under_way[self._pool.submit(run, shapes)] = there

    def _drop(self) -> None:
        """Gives up what is under way: its run is cancelled before its hospital is asked again."""
        going, self._under_way = self._under_way, {}
        for future, there in going.items():
            name = there.hospital.name
            there.stopping.set()
            self._cancelling[name] = self._pool.submit(self._cancel, there, future)
            self._outstanding[name] = there.round_index if there.dropped is None else there.dropped

    def _cancel(self, there: RemoteRound, future: Future[DatasiteRound]) -> None:
        with contextlib.suppress(WanwuError):  # it is cancelled when the hospital is asked again, or runs for nobody
            if not there.cancel(there.round_index):
                wait([future])  # its ticket may be on the way
                there.cancel(there.round_index)

    def _run(self, there: RemoteRound, weights: Outgoing, shapes: Mapping[str, tuple[int, ...]]) -> DatasiteRound:
        if (cancelling := self._cancelling.pop(there.hospital.name, None)) is not None:
            wait([cancelling])
        return there.run(weights, shapes)

    # --- what came ----------------------------------------------------------------------------------------------

    def _take(
        self, there: RemoteRound, future: Future[DatasiteRound], round_index: int, came: Came
    ) -> ClientUpdate | None:
        """The update of a hospital's part that has ended; what else became of it is written down."""
        name, staleness = there.hospital.name, round_index - there.round_index
        if there.dropped is not None:
            self._outstanding[name] = there.dropped
        try:
            arrived = future.result()
            size = float(self._size_of(name))
            steps, rates = self._plan.steps_per_round, self._plan.summed_rates(there.round_index)
            update = ClientUpdate(name, arrived.take_update(), size, staleness, steps, rates)
        except WanwuError as error:
            if type(error) is ConfigError:  # of this machine: no hospital did anything wrong
                raise
            self._fail(there, error, round_index, came)
            return None
        finally:
            if there.epsilon is not None:
                came.epsilon[name] = there.epsilon
        came.bytes_up += arrived.bytes_up
        came.bytes_down += arrived.bytes_down
        if staleness:
            came.late[name] = staleness
        else:
            came.results[name] = arrived
        return update

    def _fail(self, there: RemoteRound, error: WanwuError, round_index: int, came: Came) -> None:
        name = there.hospital.name
        if there.round_index != round_index and isinstance(error, RequestUnknown) and not there.taken:
            self._never_asked = True  # that round's ticket did not come through: it is asked for this one
            return
        if there.round_index == round_index and isinstance(error, RunLost | RoundRefused):  # or for other weights
            came.lost.add(name)
        if there.asked and isinstance(error, NOT_HEARD):
            self._outstanding[name] = there.round_index
        if there.round_index == round_index or isinstance(error, NOT_HEARD):
            self._roster.fail(name, error)
        if name in self._roster.approved:
            came.failed[name] = f"{error.code}: {error.public}"

    def _wait(self, begun: float) -> list[Future[DatasiteRound]]:
        """Until something has come, a hospital that was asked whether it takes part has answered, or time is up."""
        left = self._deadline(begun) - time.monotonic()
        waited_for: set[Future[Any]] = {*self._under_way, *self._roster.answering}
        done, _ = wait(waited_for, timeout=min(max(left, 0.01), _LOOK_SECONDS), return_when=FIRST_COMPLETED)
        return [future for future in self._under_way if future in done]

    def _is_over(self, round_index: int, begun: float, came: Came) -> bool:
        if len(came.names) < self._needed:
            return False
        leaves_behind = self._policy.leaves_behind and self._enough_after is not None
        if leaves_behind and self._is_past(self._deadline(begun)):
            return True
        if time.monotonic() < begun + LOOK_SECONDS and {*self._answers}.intersection(self._roster.answering):
            return False
        if leaves_behind:
            return not any(there.round_index == round_index for there in self._under_way.values())
        return not self._under_way

    def _is_past(self, deadline: float) -> bool:
        return time.monotonic() >= deadline

    def _deadline(self, begun: float) -> float:
        """When the round ends without those that are still at work; infinite while updates are too few."""
        return math.inf if self._enough_after is None else begun + self._policy.longest(self._enough_after)

    def _check_more_may_come(self, round_index: int, came: Came, moved: float) -> None:
        """Returns if hospitals that are away may still make the round's updates enough."""
        got, away = len(came.names), self._roster.waited_for
        missing = set(came.failed) - came.lost
        if got + len(came.lost) >= self._needed > got + away + len(missing):
            raise GivenUp
        if got + away >= self._needed and time.monotonic() - moved <= self._policy.stalled_seconds:
            return
        told = "; ".join(f"{name}: {reason}" for name, reason in self.left_out(round_index, came).items())
        raise NotEnoughDatasites(
            f"Round {round_index + 1} got {got} of the {self._needed} updates that min_clients asks for ({told}). What "
            f"came is kept at the hospitals and costs nothing more: {self._what_next()}"
        )

    def _what_next(self) -> str:
        if self._roster.may_come >= self._needed:
            return "run the study again to go on."
        if not self._roster.may_come:
            return "none of the hospitals takes part any more. Ask them why, or submit a new study."
        return f"only {self._roster.may_come} of the hospitals still take part; lower min_clients to go on."
