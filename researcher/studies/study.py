"""A study over its rounds: send the global weights, wait, average what comes back, evaluate, save, go on.

One approval at each hospital covers all rounds. Before the first, each runs a canary: two steps on the mock, which cost
nothing; where it fails, the hospital is left out before a round is charged anywhere. A round begins with the hospitals
that have approved, and needs the client updates of `min_clients` of them; who is denied, away, full, late or failing is
left out with a note, and who approves later joins. A round that was charged and gave nothing is lost there for good:
where too few others deliver, the round is given up and the study goes on with the next. A study that stops goes on from
its folder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from policies.answers.runs import RunAnswer
from policies.plans.server.server_spec import BESIDE
from policies.plans.training import TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.evaluation.shared_part import evaluate_round
from researcher.strategies import KeptWeights, ServerState, Strategy, without
from researcher.studies.asked_round import AskedRound
from researcher.studies.checkpoints import load_state, save_state
from researcher.studies.gathering import Gathering
from researcher.studies.history import History, PrivacySpent, RoundRecord
from researcher.studies.remote_round import RemoteRound, RoundEvent
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.rounds.came import Came, GivenUp
from researcher.studies.rounds.outgoing import check_sends, outgoing
from researcher.studies.rounds.planned_strategy import check_enough, strategy_of
from researcher.studies.submission import STUDY_FILE, Submission
from researcher.studies.taking_part.canaries import Canaries
from researcher.studies.taking_part.readiness import Readiness
from researcher.studies.taking_part.resumed import Resumed

__all__ = ["STUDY_FILE", "Study", "check_enough", "strategy_of"]

# A hospital's round, its late one that is being cancelled, that cancelling, and a question for its decision.
_THREADS_EACH = 4
OnEvent = Callable[[RoundEvent], None]
InitialWeights = Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]]


class Study(Submission[TrainingPlan]):
    """A training plan at several hospitals, over its rounds."""

    def run(
        self,
        *,
        hold_out: HoldOut,
        initial_weights: InitialWeights,
        strategy: Strategy | None = None,
        min_clients: int = 2,
        rounds: int | None = None,
        retry_policy: RetryPolicy | None = None,
        on_event: OnEvent = lambda event: None,
        on_round: Callable[[RoundRecord], None] = lambda record: None,
    ) -> tuple[ServerState, History]:
        """Runs the rounds that are left, and returns the last state with the history of all rounds.

        Where none is left, no hospital is asked.

        Args:
            hold_out: Public pictures that each global model is evaluated on.
            initial_weights: The global model before the first round, name → float32 array of the parameter's shape, or
                what makes it; neither read nor made when the study is continued.
            strategy: How updates are averaged; the plan's if None.
            min_clients: Least number of hospitals whose update a round needs, and that must have approved.
            rounds: Stop after this many rounds in all; the plan's if None.
            retry_policy: How long to wait and how often to try again.
            on_event: Called from several threads while hospitals work.
            on_round: Called after each round.

        Raises:
            ConfigError: The strategy needs more updates a round than `min_clients`, or sends hospitals other arrays
                than the plan's; or another process works on the study's folder now.
            RequestDenied: Fewer than `min_clients` hospitals approved, passed their canary, or are there.
            NotEnoughDatasites: A round got fewer updates, and those that are missing are not just out of reach; what
                was reached is saved, and `run` goes on from it.
        """
        policy = retry_policy or RetryPolicy()
        strategy = strategy or strategy_of(self.plan)
        check_enough(strategy, min_clients)
        check_sends(strategy, self.plan)
        last = self.plan.rounds if rounds is None else min(rounds, self.plan.rounds)
        with self.held():
            return self._run(hold_out, initial_weights, strategy, min_clients, last, policy, on_event, on_round)

    def _run(
        self,
        hold_out: HoldOut,
        initial_weights: Mapping[str, np.ndarray] | Callable[[], Mapping[str, np.ndarray]],
        strategy: Strategy,
        min_clients: int,
        last: int,
        policy: RetryPolicy,
        on_event: OnEvent,
        on_round: Callable[[RoundRecord], None],
    ) -> tuple[ServerState, History]:
        """Those that are left until so many are done; arguments as of `run`."""
        saved = self.saved()
        if saved is None:
            saved = strategy.init(initial_weights() if callable(initial_weights) else initial_weights), History()
        state, history = saved
        if state.round >= last:  # also where the hospitals were told of the end, or are away
            return state, history
        if self.plan.server.strategy in BESIDE and state.kept is None:
            state = replace(state, kept=KeptWeights(self.folder))
        canaries = Canaries(self._told, self.hospital, dict(self.requests), on_event)
        pool = ThreadPoolExecutor(max_workers=_THREADS_EACH * len(self.requests))
        try:
            gathering = self._gathering(strategy, min_clients, policy, pool, canaries, history, on_event)
            try:
                while state.round < last:
                    state, record = self._one_round(state, gathering, strategy, hold_out)
                    self.note_canaries(canaries.ended)
                    history.append(record)
                    save_state(self.folder, state, history, plan_digest=self.plan.digest())
                    on_round(record)
            finally:
                gathering.end(for_good=False)
        finally:
            canaries.stop()
            pool.shutdown(wait=False, cancel_futures=True)
        return state, history

    def saved(self) -> tuple[ServerState, History] | None:
        """What the folder holds after the last round; None before the first is done.

        Raises:
            ConfigError: It was changed or cut, or is another plan's.
        """
        return load_state(self.folder, plan_digest=self.plan.digest())

    def is_under_way(self, min_clients: int) -> bool:
        """Whether so many hospitals were asked for a round already: they approved, and no decision is waited for.

        Args:
            min_clients: So many.

        Raises:
            ConfigError: The folder's note of the round is not as it was written.
        """
        return len(AskedRound.last(self.folder).datasites) >= max(min_clients, 1)

    def _gathering(
        self,
        strategy: Strategy,
        min_clients: int,
        policy: RetryPolicy,
        pool: Executor,
        canaries: Canaries,
        history: History,
        on_event: OnEvent,
    ) -> Gathering:
        """Gathers from those that approved and passed their canary, and from who joins them."""
        asked = AskedRound.load(self.folder, len(history))
        resumed = Resumed(asked, self._run_of, canaries.told)
        if asked.datasites:
            on_event = Readiness(pool).before(on_event)

        def at(name: str, index: int, stopping: threading.Event) -> RemoteRound:
            there = self._at(name, index, policy, stopping, on_event)
            there.known = resumed.run(name, index)
            return there

        try:
            roster = self.roster(
                min_clients,
                pool,
                unreachable_seconds=policy.unreachable_seconds,
                ask=resumed.told,
                # Who goes on with a round does not wait for a hospital that is away: the others are at work.
                deadline=0.0 if policy.leaves_behind and asked.datasites else policy.round_deadline,
            )
        finally:
            self.note_canaries(canaries.ended)
        return Gathering(
            self.plan,
            roster,
            at,
            pool,
            outgoing=partial(outgoing, strategy, self.plan),
            size_of=self._size,
            needed=min_clients,
            retry_policy=policy,
            late=_under_way(history),
            asked=asked,
            note=lambda of: of.save(self.folder),
        )

    def _one_round(
        self, state: ServerState, gathering: Gathering, strategy: Strategy, hold_out: HoldOut
    ) -> tuple[ServerState, RoundRecord]:
        begun, came = time.monotonic(), Came()
        try:
            next_state = strategy.apply(state, gathering.arriving(state, came))
            averaged = tuple(name for name in self.requests if name in came.names)
        except GivenUp:
            next_state, averaged = replace(state, round=state.round + 1), ()
        next_state = without(strategy, next_state, gathering.gone)  # and so it is saved: who resumes sends the same
        aggregated = time.monotonic()
        skipped = {**self.left_out_at_submission, **gathering.left_out(state.round, came)}
        if not averaged:
            skipped |= dict.fromkeys(came.names, "its update came, for a round that was given up")
        if next_state.round == self.plan.rounds:  # what is still under way is for no round any more
            came.epsilon |= gathering.end(for_good=True)
        scores = evaluate_round(self.plan, next_state.model, hold_out)
        record = RoundRecord(
            round=next_state.round,
            datasites=averaged,
            test_accuracy=scores.accuracy,
            macro_f1=scores.macro_f1,
            confusion=scores.confusion,
            findings=scores.findings,
            seconds={**came.seconds(aggregated), "total": time.monotonic() - begun},
            bytes_up=came.bytes_up,
            bytes_down=came.bytes_down,
            epsilon=came.epsilon,
            skipped=skipped,
            staleness={name: staleness for name, staleness in came.late.items() if averaged},
            under_way={name: of + 1 for name, of in gathering.outstanding.items()},
        )
        return next_state, record

    def _at(
        self, name: str, round_index: int, policy: RetryPolicy, stopping: threading.Event, on_event: OnEvent
    ) -> RemoteRound:
        """One hospital's part of a round."""
        return RemoteRound(
            hospital=self.hospital(name),
            dataset=self.plan.dataset,
            request=self.requests[name],
            plan=self.plan,
            round_index=round_index,
            retry_policy=policy,
            stopping=stopping,
            on_event=on_event,
        )

    def _run_of(self, name: str, round_index: int) -> RunAnswer:
        request = self.requests[name].request_id
        return self.federation.asked(name, lambda one: self._shown_to(one, name).routes.run(request, round_index))

    def _size(self, name: str) -> int:
        return self.hospital(name).datasets[self.plan.dataset].public_size

    def privacy(self, history: History) -> dict[str, PrivacySpent | None]:
        """Returns datasite → what its ledger says that the study spent; None where training was not private.

        Args:
            history: Of the study's rounds, as `run` returns it.
        """
        spent: dict[str, PrivacySpent | None] = {}
        for name in (*self.requests, *self.refused):
            epsilons = [record.epsilon[name] for record in history.records if name in record.epsilon]
            privacy = self.plan.privacy
            known = bool(epsilons) and privacy is not None
            spent[name] = (
                PrivacySpent(epsilons[-1], privacy.delta, privacy.unit) if known and privacy is not None else None
            )
        return spent


def _under_way(history: History) -> dict[str, int]:
    """Hospital → round that was asked for, and whose update had not come when the last round ended."""
    return {name: of - 1 for name, of in history.records[-1].under_way.items()} if len(history) else {}
