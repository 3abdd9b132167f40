"""Workers of a simulation on Ray, one on a core: each holds a model and reads the data in the cluster's store.

A worker that dies is replaced, and what it was at is done again: trained with the same draws and noise, or scored.
Answers are asked for in order, never far ahead of the one that is next, so that what waits is bounded whatever their
number.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from policies.errors import RunFailed, WanwuError
from policies.versions import packages
from researcher.evaluation.evaluation import Evaluation
from researcher.simulation.at_work.worker import Worker
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.work import Work
from researcher.simulation.workers import Begun, Retried, Sent, Stepped, Trained
from researcher.strategies import Weights

MOST_TRIES = 4
_WAITING_EACH = 2  # hospitals that a worker is at, or has before it
_AHEAD_EACH = 4  # that may be done before the one whose update is next
# Of hospitals that a worker is asked for at once: with small models asking takes as long as many of a step.
_MOST_TOGETHER, _TOGETHER_BYTES = 4, 1_000_000
GIGABYTE = 10**9


def store_bytes(data_bytes: int, model_bytes: int, workers: int, *, alike: bool) -> int:
    """Bytes that the cluster's store must hold: the data, what hospitals are sent, and updates that wait.

    Args:
        data_bytes: Of all pictures.
        model_bytes: Of a model's weights.
        workers: How many.
        alike: Whether all hospitals are sent the same; else each gets weights and as much beside them.
    """
    models = _AHEAD_EACH * workers * hospitals_together(model_bytes, alike=alike) + 4
    models += 0 if alike else 2 * _WAITING_EACH * workers
    return data_bytes + models * model_bytes + data_bytes // 8


def hospitals_together(model_bytes: int, *, alike: bool) -> int:
    """For how many hospitals a worker is asked at once; for one, where each is sent weights of its own.

    Args:
        model_bytes: Of a model's weights.
        alike: Whether all hospitals are sent the same.
    """
    return max(1, min(_MOST_TOGETHER, _TOGETHER_BYTES // max(1, model_bytes))) if alike else 1


def in_parts(hospitals: Sequence[MadeUpHospital], together: int, workers: int) -> list[Sequence[MadeUpHospital]]:
    """What is asked of a worker at once: so many hospitals, and single ones at the end, so that all end together.

    Args:
        hospitals: In order.
        together: For how many a worker is asked at once.
        workers: How many.
    """
    whole = max(0, len(hospitals) - together * workers) // together * together
    starts = [*range(0, whole, together), *range(whole, len(hospitals))]
    return [hospitals[start:end] for start, end in pairwise([*starts, len(hospitals)])]


def start_workers(ray: Any, workers: int) -> list[Any]:
    """Starts workers, which import what they need at once, before there is a plan: see `OnRay`.

    Args:
        ray: The library, connected.
        workers: How many.
    """
    kind = ray.remote(Worker).options(num_cpus=1, max_restarts=0, max_task_retries=0)
    return [kind.remote() for _ in range(workers)]


class OnRay:
    """Trains on the workers of a cluster."""

    def __init__(
        self, ray: Any, work: Work, seed: int, *, places: list[Any], memory_bytes: int, on_retried: Retried
    ) -> None:
        """Puts the data into the store once, and tells the workers of them.

        Args:
            ray: The library, connected.
            work: Of the simulation.
            seed: Of the simulation.
            places: From `start_workers`; those that die are replaced in it.
            memory_bytes: That each may take beside what it starts with.
            on_retried: Told what is trained again.
        """
        self.ray = ray
        data = ray.put(work.pictures), ray.put(work.hold_out)
        self._given = (work.plan.to_json(), *data, seed, memory_bytes, dict(packages.installed()))
        self.places = places
        for worker in places:
            worker.begin.remote(*self._given)
        self._on_retried = on_retried

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun, stepped: Stepped
    ) -> Iterator[Trained]:
        """As `Workers.train`; a worker tells of no step.

        Raises:
            WanwuError: What a hospital's training raised.
            RunFailed: Workers died over one hospital as often as it is tried.
        """
        first = dict(sent.to(hospitals[0]))
        to_all = self.ray.put(first) if sent.alike else None
        together = hospitals_together(sum(array.nbytes for array in first.values()), alike=sent.alike)
        together = max(1, min(together, len(hospitals) // (_AHEAD_EACH * len(self.places))))  # all have as much to do
        parts = in_parts(hospitals, together, len(self.places))

        def ask(worker: Any, number: int) -> Any:
            for hospital in parts[number]:
                begun(hospital)
            # in the cluster's store; a hospital's own leave it with the hospital's answer
            weights = to_all or self.ray.put(dict(sent.to(parts[number][0])))
            return worker.train.remote(parts[number], round_index, weights)

        def retried(number: int) -> None:
            for hospital in parts[number]:
                self._on_retried(hospital.name, round_index)

        for trained in _Answers(self, [_Asked(ask, part[0].name, retried) for part in parts]):
            yield from trained

    def score_round(self, weights: Weights) -> Callable[[], Evaluation]:
        """As `Workers.score_round`; what it returns raises as `train`."""

        def ask(worker: Any, number: int) -> Any:
            return worker.score_round.remote(dict(weights))

        answers = _Answers(self, [_Asked(ask, "the global model's scores")])
        answers.ask(0)
        return lambda: cast(Evaluation, next(iter(answers)))

    def score_models(self, models: Sequence[Callable[[], Weights]]) -> Iterator[Evaluation]:
        """As `Workers.score_models`; raises as `train`."""

        def ask(worker: Any, number: int) -> Any:
            return worker.score_model.remote(dict(models[number]()))

        yield from _Answers(self, [_Asked(ask, "a hospital's own model") for _ in models])

    def replace(self, worker: Any) -> None:
        """Starts a worker in the place of one that died, unless that was done: several may have been waiting for it."""
        if worker in self.places:
            (new,) = start_workers(self.ray, 1)
            new.begin.remote(*self._given)
            self.places[self.places.index(worker)] = new


@dataclass(frozen=True)
class _Asked:
    """Something to ask of any worker.

    Attributes:
        ask: Given a worker and the number of this in its list, asks; returns what will hold the answer.
        name: Told where workers die over it.
        retried: Told its number where it is asked again.
    """

    ask: Callable[[Any, int], Any]
    name: str
    retried: Callable[[int], None] = lambda number: None


class _Answers:
    """Answers to what is asked of the workers, in order."""

    def __init__(self, workers: OnRay, asked: Sequence[_Asked]) -> None:
        self._all, self._of = workers, asked
        self._todo = list(range(len(asked)))  # a heap: what is tried again comes first
        self._asked: dict[Any, tuple[int, Any]] = {}  # what will hold the answer → number, worker
        self._done: dict[int, Any] = {}
        self._tries = [0] * len(asked)

    def __iter__(self) -> Iterator[Any]:
        for number in range(len(self._of)):
            while number not in self._done:
                self.ask(number)
                ready, _ = self._all.ray.wait(list(self._asked), num_returns=1)
                for answer in ready:
                    if answer in self._asked:
                        self._take(answer)
            yield self._done.pop(number)

    def ask(self, next_number: int) -> None:
        """Asks those workers that have not enough to do for what comes next.

        Args:
            next_number: Of the answer that is yielded next.
        """
        workers = self._all.places
        busy = [worker for _, worker in self._asked.values()]
        for turn in range(_WAITING_EACH):
            for worker in workers:
                within = self._todo and self._todo[0] < next_number + _AHEAD_EACH * len(workers)
                if within and busy.count(worker) == turn:
                    number = heapq.heappop(self._todo)
                    self._asked[self._of[number].ask(worker, number)] = number, worker
                    busy.append(worker)

    def _take(self, answer: Any) -> None:
        ray = self._all.ray
        number, worker = self._asked.pop(answer)
        try:
            found = ray.get(answer)
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.OutOfMemoryError) as error:
            self._died(number, worker, error)
            return
        if isinstance(found, WanwuError):
            raise found
        self._done[number] = found

    def _died(self, number: int, worker: Any, error: Exception) -> None:
        """Has everything that the worker was asked for done again by another in its place."""
        lost = [number, *(self._asked.pop(one)[0] for one, (_, at) in list(self._asked.items()) if at == worker)]
        self._all.replace(worker)
        for one in lost:
            heapq.heappush(self._todo, one)
            self._of[one].retried(one)
        self._tries[number] += 1
        if self._tries[number] >= MOST_TRIES:
            told = str(error).strip().partition("\n")[0]
            raise RunFailed(
                f"Workers died {MOST_TRIES} times over {self._of[number].name} ({told}). Where memory is short, "
                "ask for fewer --workers or a smaller --physical_batch_size; rounds that are done are kept."
            )
