"""Workers of a simulation on Ray, one on a core: each holds a model and reads the data in the cluster's store.

A worker that dies is replaced, and what it was at is trained again with the same draws and noise. Hospitals are asked
for in order, never far ahead of the one whose update is next, so that what waits is bounded whatever their number.
"""

from __future__ import annotations

import heapq
import resource
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from datasites.training.dp_sgd.memory import is_out_of_memory, keep_freed_memory
from policies.errors import ConfigError, OutOfMemory, RunFailed, WanwuError
from policies.plans.training import TrainingPlan
from policies.versions import packages
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.trainer import Trained, Trainer
from researcher.simulation.workers import Begun, Retried, Sent

if TYPE_CHECKING:
    from researcher.simulation.work import Work  # plans and reads data, which no worker does: its memory stays small

MOST_TRIES = 4
_WAITING_EACH = 2  # hospitals that a worker is at, or has before it
_AHEAD_EACH = 4  # that may be done before the one whose update is next
GIGABYTE = 10**9


def store_bytes(pictures: SharedPictures, model_bytes: int, workers: int, *, alike: bool) -> int:
    """Bytes that the cluster's store must hold: the data, what hospitals are sent, and updates that wait.

    Args:
        pictures: Of all hospitals.
        model_bytes: Of a model's weights.
        workers: How many.
        alike: Whether all hospitals are sent the same; else each gets weights and as much beside them.
    """
    models = _AHEAD_EACH * workers + 4 + (0 if alike else 2 * _WAITING_EACH * workers)
    return pictures.nbytes + models * model_bytes + pictures.nbytes // 8


class Worker:
    """A process on a core of the cluster, bounded in threads and memory."""

    def __init__(
        self, plan: str, pictures: SharedPictures, seed: int, memory_bytes: int, known: dict[str, str]
    ) -> None:
        """Bounds itself, then sets nothing up yet.

        Args:
            plan: As JSON.
            pictures: In the cluster's store.
            seed: Of the simulation.
            memory_bytes: That it may take beside what it has.
            known: Versions that the simulation's own process has.
        """
        torch.set_num_threads(1)
        keep_freed_memory()
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes, most))
        self._differs = {name: own for name, own in packages.installed().items() if known.get(name) != own}
        self._trainer = Trainer(TrainingPlan.from_json(plan), pictures, seed)

    def train(
        self, hospital: MadeUpHospital, round_index: int, weights: Mapping[str, np.ndarray]
    ) -> Trained | WanwuError:
        """As `Trainer.train`; what it raises is returned, as Ray would wrap it."""
        if self._differs:
            name, own = next(iter(self._differs.items()))
            return ConfigError(
                f"A machine of the cluster has {name} {own}, this one has another. Install the same there."
            )
        try:
            return self._trainer.train(hospital, round_index, weights)
        except WanwuError as error:
            return error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return OutOfMemory(
                "A worker's memory does not hold a step. Lower --physical_batch_size, or raise --worker_memory."
            )


class OnRay:
    """Trains on the workers of a cluster."""

    def __init__(
        self, ray: Any, work: Work, seed: int, *, workers: int, memory_bytes: int, on_retried: Retried
    ) -> None:
        """Puts the data into the store once, and starts the workers.

        Args:
            ray: The library, connected.
            work: Of the simulation.
            seed: Of the simulation.
            workers: How many.
            memory_bytes: That each may take beside what it starts with.
            on_retried: Told what is trained again.
        """
        self._ray = ray
        self._given = (work.plan.to_json(), ray.put(work.pictures), seed, memory_bytes, dict(packages.installed()))
        self._kind = ray.remote(Worker).options(num_cpus=1, max_restarts=0, max_task_retries=0)
        self._workers = [self._kind.remote(*self._given) for _ in range(workers)]
        self._on_retried = on_retried

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> Iterator[Trained]:
        """As `Workers.train`.

        Raises:
            WanwuError: What a hospital's training raised.
            RunFailed: Workers died over one hospital as often as it is tried.
        """
        round_ = _Round(self, sent, round_index, hospitals, begun)
        for number in range(len(hospitals)):
            yield round_.wait_for(number)

    def replace(self, place: int) -> None:
        """Starts a worker in the place of one that died."""
        self._workers[place] = self._kind.remote(*self._given)


class _Round:
    """What is asked of the workers in one round."""

    def __init__(
        self, workers: OnRay, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> None:
        self._all, self._sent, self._index = workers, sent, round_index
        self._to_all = workers._ray.put(dict(sent.to(hospitals[0]))) if sent.alike else None
        self._hospitals, self._begun = hospitals, begun
        self._todo = list(range(len(hospitals)))  # a heap: what is tried again comes first
        self._asked: dict[Any, tuple[int, int]] = {}  # what will hold the answer → hospital, worker
        self._done: dict[int, Trained] = {}
        self._tries = [0] * len(hospitals)

    def wait_for(self, number: int) -> Trained:
        """The part of the hospital of this number; numbers come in order."""
        ray = self._all._ray
        while number not in self._done:
            self._ask(number)
            ready, _ = ray.wait(list(self._asked), num_returns=1)
            for answer in ready:
                if answer in self._asked:
                    self._take(answer)
        return self._done.pop(number)

    def _ask(self, next_number: int) -> None:
        workers = self._all._workers
        busy = [place for _, place in self._asked.values()]
        for turn in range(_WAITING_EACH):
            for place, worker in enumerate(workers):
                within = self._todo and self._todo[0] < next_number + _AHEAD_EACH * len(workers)
                if within and busy.count(place) == turn:
                    number = heapq.heappop(self._todo)
                    hospital = self._hospitals[number]
                    self._begun(hospital)
                    answer = worker.train.remote(hospital, self._index, self._weights_for(hospital))
                    self._asked[answer] = number, place
                    busy.append(place)

    def _weights_for(self, hospital: MadeUpHospital) -> Any:
        """In the cluster's store; a hospital's own leave it with the hospital's answer."""
        return self._to_all or self._all._ray.put(dict(self._sent.to(hospital)))

    def _take(self, answer: Any) -> None:
        ray = self._all._ray
        number, place = self._asked.pop(answer)
        try:
            found = ray.get(answer)
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.OutOfMemoryError) as error:
            self._died(number, place, error)
            return
        if isinstance(found, WanwuError):
            raise found
        self._done[number] = found

    def _died(self, number: int, place: int, error: Exception) -> None:
        """Has everything that the worker was asked for trained again by another in its place."""
        lost = [number, *(self._asked.pop(one)[0] for one, (_, at) in list(self._asked.items()) if at == place)]
        self._all.replace(place)
        for one in lost:
            heapq.heappush(self._todo, one)
            self._all._on_retried(self._hospitals[one].name, self._index)
        self._tries[number] += 1
        if self._tries[number] >= MOST_TRIES:
            told = str(error).strip().partition("\n")[0]
            raise RunFailed(
                f"Workers died {MOST_TRIES} times over {self._hospitals[number].name} ({told}). Where memory is short, "
                "ask for fewer --workers or a smaller --physical_batch_size; rounds that are done are kept."
            )
