"""The rounds of a simulation: weights to every made-up hospital, updates folded by the strategy as they come.

On the way it is told what the simulation is at, and how many steps are left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from policies.contracts.encodings import decode
from policies.plans.server.beside import word_of
from policies.plans.server.local_part import keeps_part
from policies.plans.training import TrainingPlan
from researcher.evaluation.evaluation import Evaluation
from researcher.simulation.charges import Charges
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.work import Work
from researcher.simulation.workers import Sent, Workers
from researcher.strategies import ClientUpdate, KeptWeights, ServerState, Strategy, Weights
from researcher.strategies.per_hospital.kept_weights import needed
from researcher.studies.checkpoints import save_state
from researcher.studies.history import History, RoundRecord
from researcher.studies.rounds.outgoing import OutgoingWeights, arrays_for


@dataclass(frozen=True)
class Doing:
    """What a simulation is at.

    Attributes:
        round: From 1.
        rounds: Of the plan.
        hospital: That is being trained, or on Ray whose update came last; empty while the round's model is scored.
        done: Steps that are done at all hospitals, of those that were left when the simulation was begun or gone on
            with.
        total: How many those are.
    """

    round: int
    rounds: int
    hospital: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"round {self.round} of {self.rounds}, {self.hospital or 'scoring the model'}"


OnProgress = Callable[[Doing], None]


class StepsLeft:
    """Counts a simulation's steps, and tells of each what it is at."""

    def __init__(self, plan: TrainingPlan, hospitals: Sequence[MadeUpHospital], begun: int, told: OnProgress) -> None:
        """Counts from the first round that is left.

        Args:
            plan: The study's.
            hospitals: All of them take part in each round, for as many steps each.
            begun: How many rounds are done already.
            told: Told what the simulation is at.
        """
        self._plan, self._begun, self._told = plan, begun, told
        self._at = {hospital.name: number for number, hospital in enumerate(hospitals)}

    def at(self, round_index: int, hospital: MadeUpHospital, steps: int) -> None:
        """A hospital has taken this many steps of a round, whose index is from 0; those before it have taken all."""
        before = (round_index - self._begun) * len(self._at) + self._at[hospital.name]
        self._tell(round_index, hospital.name, before * self._plan.steps_per_round + steps)

    def scores(self, round_index: int) -> None:
        """All hospitals have trained in a round, whose index is from 0, and its model is scored."""
        self._tell(round_index, "", (round_index + 1 - self._begun) * len(self._at) * self._plan.steps_per_round)

    def _tell(self, round_index: int, hospital: str, done: int) -> None:
        total = (self._plan.rounds - self._begun) * len(self._at) * self._plan.steps_per_round
        self._told(Doing(round_index + 1, self._plan.rounds, hospital, done, total))


@dataclass
class _Came:
    """What a round's updates came to.

    Attributes:
        sent_bytes: Hospital → what it was sent, encoded.
        size_bytes: Of all updates, encoded.
        kept: The part of the model that each hospital keeps, as it became; None where the strategy keeps none there.
        last: When the last one came.
    """

    sent_bytes: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    kept: KeptWeights | None = None
    last: float = field(default_factory=time.monotonic)


def run_rounds(
    work: Work,
    workers: Workers,
    strategy: Strategy,
    begun: tuple[ServerState, History],
    *,
    folder: Path,
    on_round: Callable[[RoundRecord], None],
    on_progress: OnProgress,
) -> tuple[ServerState, History]:
    """Runs the rounds that are left; each is saved as a study's is.

    Args:
        work: Of the simulation; all its hospitals take part in each round.
        workers: Train them.
        strategy: Makes updates the next global model.
        begun: State and history to go on from.
        folder: Where they are saved.
        on_round: Called after each round: once it is scored, which a worker does while the next one begins.
        on_progress: Told on the way what is done and how much is left.
    """
    (state, history), plan, hospitals = begun, work.plan, work.hospitals
    charges = Charges(plan, state.round, tuple(hospital.name for hospital in hospitals))
    steps_left = StepsLeft(plan, hospitals, state.round, on_progress)
    scored = _Scored(plan, folder, history, on_round)
    while state.round < plan.rounds:
        started, came = time.monotonic(), _Came(kept=state.kept if keeps_part(plan) else None)
        sent = _sent(strategy, plan, state, hospitals, came)
        try:
            updates = _updates(work, sent, state.round, workers, charges, came, steps_left, scored.note)
            state = strategy.apply(state, updates)
        finally:
            scored.note()
        if came.kept is not None:
            state = replace(state, kept=came.kept)
        aggregated = time.monotonic()
        steps_left.scores(state.round - 1)
        scores = workers.score_round(state.model)
        seconds = {
            "queue": 0.0,
            "transfer": 0.0,
            "train": came.last - started,
            "aggregate": aggregated - came.last,
            "total": time.monotonic() - started,
        }
        scored.wait_for(state, scores, partial(_record, state.round, hospitals, came, seconds, charges.so_far()))
    return state, history


class _Scored:
    """Rounds whose scores are waited for: one worker scores a round while the others train the next."""

    def __init__(
        self, plan: TrainingPlan, folder: Path, history: History, on_round: Callable[[RoundRecord], None]
    ) -> None:
        self._plan, self._folder, self._history, self._on_round = plan, folder, history, on_round
        self._waiting: tuple[ServerState, Callable[[], Evaluation], Callable[[Evaluation], RoundRecord]] | None = None

    def wait_for(
        self, state: ServerState, scores: Callable[[], Evaluation], record: Callable[[Evaluation], RoundRecord]
    ) -> None:
        """Notes a round once its scores are in; at once where it is the last, or where files are kept of hospitals."""
        self._waiting = state, scores, record
        if state.round == self._plan.rounds or state.kept is not None:
            self.note()

    def note(self) -> None:
        """Waits for the scores of the round that waits for them, if one does; saves the round and tells it."""
        if self._waiting is None:
            return
        (state, scores, record), self._waiting = self._waiting, None
        noted = record(scores())
        self._history.append(noted)
        save_state(self._folder, state, self._history, plan_digest=self._plan.digest())
        self._on_round(noted)


def _record(
    number: int,
    hospitals: Sequence[MadeUpHospital],
    came: _Came,
    seconds: Mapping[str, float],
    epsilon: Callable[[], Mapping[str, float]],
    scores: Evaluation,
) -> RoundRecord:
    """A round's record, of what it came to and how its model scores."""
    return RoundRecord(
        round=number,
        datasites=tuple(hospital.name for hospital in hospitals),
        test_accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        confusion=scores.confusion,
        findings=scores.findings,
        seconds=seconds,
        bytes_up=sum(came.sent_bytes.values()),
        bytes_down=came.size_bytes,
        epsilon=epsilon(),
    )


def _sent(
    strategy: Strategy, plan: TrainingPlan, state: ServerState, hospitals: Sequence[MadeUpHospital], came: _Came
) -> Sent:
    """What hospitals are sent in a round, as they have it once it is decoded."""

    def decoded(hospital: MadeUpHospital) -> Weights:
        arrays = arrays_for(strategy, plan, state, hospital.name)
        content = OutgoingWeights.encode(arrays, plan, state.round).content
        came.sent_bytes[hospital.name] = len(content)
        shapes = {name: array.shape for name, array in arrays.items()}
        return decode(content, shapes, plan.weights_encoding, max_bytes=len(content))

    if word_of(plan, state.round) is not None:
        return Sent(decoded, alike=False)
    weights = decoded(hospitals[0])
    came.sent_bytes.update(dict.fromkeys([one.name for one in hospitals], came.sent_bytes[hospitals[0].name]))
    if keeps_part(plan):
        kept = needed(state.kept)  # of the round before, also for a hospital that is asked again
        return Sent(lambda hospital: {**weights, **(kept.read(hospital.name) or {})}, alike=False)
    return Sent(lambda hospital: weights, alike=True)


def _updates(
    work: Work,
    sent: Sent,
    round_index: int,
    workers: Workers,
    charges: Charges,
    came: _Came,
    steps_left: StepsLeft,
    on_first: Callable[[], None],
) -> Iterator[ClientUpdate]:
    """Each hospital's update, of which none is kept here; what stays at a hospital is, in a file of its own.

    When the first one is in, so are the scores that were asked for before it: `on_first` is called then.
    """

    plan, hospitals = work.plan, work.hospitals

    def begin(hospital: MadeUpHospital) -> None:
        charges.begin(hospital.name, round_index)

    steps_left.at(round_index, hospitals[0], 0)
    parts = workers.train(sent, round_index, hospitals, begin, partial(steps_left.at, round_index))
    for number, (hospital, part) in enumerate(zip(hospitals, parts, strict=True)):
        if number == 0:
            on_first()
        steps_left.at(round_index, hospital, plan.steps_per_round)
        came.size_bytes += part.size_bytes
        came.last = time.monotonic()
        if came.kept is not None:
            came.kept = came.kept.with_one(hospital.name, part.stays, public_size=float(hospital.public_size))
        yield ClientUpdate(
            hospital.name,
            part.update,
            float(hospital.public_size),
            steps=plan.steps_per_round,
            summed_rates=plan.summed_rates(round_index),
        )
