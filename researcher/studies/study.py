"""A study over its rounds: send the global weights, wait, average what comes back, evaluate, save, go on.

One approval at each hospital covers all rounds. A hospital that fails a round is skipped in it, as long as
`min_clients` deliver. A round that was charged and gave nothing is lost there for good: where too few others deliver,
the round is given up and the study goes on with the next. A study that stops goes on from its folder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

import numpy as np

from policies.errors import NotEnoughDatasites, RunLost, WanwuError
from policies.plans.training import TrainingPlan
from researcher.evaluation.evaluation import evaluate
from researcher.evaluation.hold_out import HoldOut
from researcher.strategies import ClientUpdate, FedAvg, ServerState, Strategy
from researcher.studies.checkpoints import load_state, save_state
from researcher.studies.history import History, PrivacySpent, RoundRecord
from researcher.studies.remote_round import DatasiteRound, OutgoingWeights, RemoteRound, RetryPolicy, RoundEvent
from researcher.studies.submission import STUDY_FILE, Submission

__all__ = ["STUDY_FILE", "Study", "strategy_of"]

OnEvent = Callable[[RoundEvent], None]


def strategy_of(plan: TrainingPlan) -> FedAvg:
    """Federated averaging with the settings that stand in the plan."""
    return FedAvg(server_momentum=plan.server_momentum, server_averaging=plan.server_averaging)


@dataclass(frozen=True)
class _Terms:
    """Settings that are the same in all rounds of a run."""

    taking_part: list[str]
    absent: Mapping[str, str]
    strategy: Strategy
    hold_out: HoldOut
    min_clients: int
    retry_policy: RetryPolicy
    on_event: OnEvent


@dataclass(frozen=True)
class _Came:
    """The outcome of a round: hospital → its part of it, or why it has none."""

    results: dict[str, DatasiteRound]
    skipped: dict[str, str]

    def seconds(self, aggregated: float) -> dict[str, float]:
        """Seconds of each phase of the slowest hospital that delivered, and of the averaging until `aggregated`."""
        if not self.results:
            return dict.fromkeys(("queue", "transfer", "train", "aggregate"), 0.0)
        slowest = max(self.results.values(), key=lambda one: one.arrived)
        return {
            "queue": slowest.queue_seconds,
            "transfer": slowest.transfer_seconds,
            "train": slowest.train_seconds,
            "aggregate": aggregated - slowest.arrived,
        }


class _GivenUp(Exception):
    """Too few hospitals delivered, and those that are missing have lost the round: no more will come of it."""


class Study(Submission[TrainingPlan]):
    """A training plan at several hospitals, over its rounds."""

    def run(
        self,
        *,
        hold_out: HoldOut,
        initial_weights: Mapping[str, np.ndarray],
        strategy: Strategy | None = None,
        min_clients: int = 2,
        rounds: int | None = None,
        retry_policy: RetryPolicy | None = None,
        on_event: OnEvent = lambda event: None,
        on_round: Callable[[RoundRecord], None] = lambda record: None,
    ) -> tuple[ServerState, History]:
        """Runs the rounds that are left, and returns the last state with the history of all rounds.

        Args:
            hold_out: Public pictures that each global model is evaluated on.
            initial_weights: The global model before the first round, name → float32 array of the parameter's shape; not
                read when the study is continued.
            strategy: How updates are averaged; FedAvg as the plan says if None.
            min_clients: Least number of hospitals whose update a round needs.
            rounds: Stop after this many rounds in all; the plan's if None.
            retry_policy: How long to wait and how often to try again.
            on_event: Called from several threads while hospitals work.
            on_round: Called after each round.

        Raises:
            RequestDenied: Fewer than `min_clients` hospitals approved, or are there.
            NotEnoughDatasites: A round got fewer updates and may get more when it is asked for again; what was reached
                is saved, and `run` goes on from it.
        """
        retry_policy = retry_policy or RetryPolicy()
        taking_part, absent = self.approved(min_clients, unreachable_seconds=retry_policy.unreachable_seconds)
        terms = _Terms(
            taking_part, absent, strategy or strategy_of(self.plan), hold_out, min_clients, retry_policy, on_event
        )
        saved = load_state(self.folder, plan_digest=self.plan.digest())
        state, history = saved if saved else (terms.strategy.init(initial_weights), History())
        with ThreadPoolExecutor(max_workers=len(taking_part)) as pool:
            while state.round < min(rounds or self.plan.rounds, self.plan.rounds):
                state, record = self._one_round(state, terms, pool)
                history.append(record)
                save_state(self.folder, state, history, plan_digest=self.plan.digest())
                on_round(record)
        return state, history

    def _one_round(
        self, state: ServerState, terms: _Terms, pool: ThreadPoolExecutor
    ) -> tuple[ServerState, RoundRecord]:
        begun = time.monotonic()
        stopping = threading.Event()
        asked = self._ask(state, terms, pool, stopping)
        came = _Came({}, dict(terms.absent))
        try:
            next_state = terms.strategy.apply(state, self._arriving(asked, came, terms.min_clients, state))
            averaged = tuple(name for name in terms.taking_part if name in came.results)
        except _GivenUp:
            next_state, averaged = replace(state, round=state.round + 1), ()
            came.skipped.update(dict.fromkeys(came.results, "its update came, for a round that was given up"))
        finally:
            stopping.set()
        aggregated = time.monotonic()
        scores = evaluate(self.plan.model, next_state.model, terms.hold_out)
        record = RoundRecord(
            round=next_state.round,
            datasites=averaged,
            test_accuracy=scores.accuracy,
            macro_f1=scores.macro_f1,
            confusion=scores.confusion,
            findings=scores.findings,
            seconds={**came.seconds(aggregated), "total": time.monotonic() - begun},
            bytes_up=sum(one.bytes_up for one in came.results.values()),
            bytes_down=sum(one.bytes_down for one in came.results.values()),
            epsilon={there.hospital.name: there.epsilon for there in asked.values() if there.epsilon is not None},
            skipped=came.skipped,
        )
        return next_state, record

    def _ask(
        self, state: ServerState, terms: _Terms, pool: ThreadPoolExecutor, stopping: threading.Event
    ) -> dict[Future[DatasiteRound], RemoteRound]:
        """Sends the global weights to every hospital at once; each answer will be that hospital's round."""
        weights = OutgoingWeights.encode(state.weights, self.plan, state.round)
        shapes = {name: array.shape for name, array in state.weights.items()}
        asked = {}
        for name in terms.taking_part:
            there = RemoteRound(
                hospital=self.federation.hospitals[name],
                dataset=self.plan.dataset,
                request=self.requests[name],
                plan=self.plan,
                round_index=state.round,
                retry_policy=terms.retry_policy,
                stopping=stopping,
                on_event=terms.on_event,
            )
            asked[pool.submit(there.run, weights, shapes)] = there
        return asked

    def _arriving(
        self,
        asked: Mapping[Future[DatasiteRound], RemoteRound],
        came: _Came,
        min_clients: int,
        state: ServerState,
    ) -> Iterator[ClientUpdate]:
        """Client updates in the order in which they arrive; raises at the end if they were too few."""
        lost = 0
        for future in as_completed(asked):
            name = asked[future].hospital.name
            size = self.federation.hospitals[name].datasets[self.plan.dataset].public_size
            try:
                arrived = future.result()
                update = ClientUpdate(name, arrived.take_update(), float(size))
            except WanwuError as error:
                lost += isinstance(error, RunLost)
                came.skipped[name] = f"{error.code}: {error.public}"
                continue
            came.results[name] = arrived
            yield update
        needed, got = max(min_clients, 1), len(came.results)
        if got >= needed:
            return
        if got + lost >= needed > len(asked) - lost:
            raise _GivenUp
        told = "; ".join(f"{name}: {reason}" for name, reason in came.skipped.items())
        raise NotEnoughDatasites(
            f"Round {state.round + 1} got {got} update(s), min_clients is {min_clients} ({told}). What came is kept at "
            "the hospitals and costs nothing more: run the study again to go on."
        )

    def privacy(self, history: History) -> dict[str, PrivacySpent | None]:
        """Returns datasite → what its ledger says that the study spent; None where training was not private.

        Args:
            history: Of the study's rounds, as `run` returns it.
        """
        spent: dict[str, PrivacySpent | None] = {}
        for name in self.requests:
            epsilons = [record.epsilon[name] for record in history.records if name in record.epsilon]
            privacy = self.plan.privacy
            known = bool(epsilons) and privacy is not None
            spent[name] = (
                PrivacySpent(epsilons[-1], privacy.delta, privacy.unit) if known and privacy is not None else None
            )
        return spent
