"""Whose turn it is: the oldest queued run that can be run now, with the GPUs that it is leased. Inside the hospital."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.queue import Run, RunQueue
from policies.errors import WanwuError
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan


@dataclass(frozen=True)
class ApprovedRun:
    """What the supervisor needs to know of the approval that a run stands under.

    Attributes:
        plan: The approved plan.
        store: Folder of the picture store.
        inputs: Names and shapes of the weights that come in.
        outputs: Names and shapes of the arrays that may leave.
    """

    plan: Plan
    store: Path
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


class Turns:
    """Takes runs from the queue for all threads of one datasite."""

    def __init__(self, queue: RunQueue, gpus: GpuLeases, approved: Callable[[Run], ApprovedRun]) -> None:
        self._queue, self._gpus, self._approved = queue, gpus, approved
        self._taking = threading.Lock()
        self._held_up: set[str] = set()  # runs that are not in the queue any more and wait for GPUs

    def take(self) -> tuple[Run, tuple[Gpu, ...]] | None:
        """The oldest run that can be run now, with the GPUs that it was leased; None if none can.

        While a run waits for its GPUs no younger one gets any: else one that takes several would wait for ever.
        """
        with self._taking:
            one_waits = bool(self._held_up)
            for run in self._queue.waiting():
                wanted = self._wanted_gpus(run)
                gpus = None if wanted and one_waits else self._gpus.take(wanted)
                if gpus is None:
                    one_waits = True
                    continue
                taken = None
                try:
                    taken = self._queue.take(run.id)
                finally:
                    if taken is None:
                        self._gpus.give_back(gpus)
                if taken is not None:
                    return taken, gpus
        return None

    def again(self, run: Run) -> tuple[Run, tuple[Gpu, ...]] | None:
        """A run whose end could not be written down, with a new lease of its GPUs; None while they are not free."""
        with self._taking:
            gpus = self._gpus.take(self._wanted_gpus(run))
            if gpus is None:
                self._held_up.add(run.id)
                return None
            self._held_up.discard(run.id)
            return run, gpus

    def _wanted_gpus(self, run: Run) -> int:
        """How many GPUs a run takes where there are any: several for private training, whose steps can be shared."""
        if not self._gpus.present:
            return 0
        try:
            plan = self._approved(run).plan
        except WanwuError:
            return 0  # it will be refused with that reason
        if plan.run.device == "cpu":
            return 0
        return self._gpus.per_run if isinstance(plan, TrainingPlan) and plan.privacy is not None else 1
