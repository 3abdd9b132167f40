"""Chooses the next run: the oldest queued one that can run now, and the GPUs that it is leased. Inside the hospital."""

from __future__ import annotations

import threading
from collections.abc import Callable

from datasites.approvals.approvals import Decision
from datasites.runs.gpus import Gpu, GpuLeases
from datasites.runs.queue import Run, RunQueue
from policies.errors import WanwuError
from policies.plans.kinds import Plan
from policies.plans.server.local_part import keeps_part
from policies.plans.training import TrainingPlan


class Turns:
    """Takes runs from the queue for all threads of one datasite.

    Args:
        queue: The runs.
        gpus: The GPUs.
        decided: Returns what is recorded of the decision on a request. It says how many GPUs a run waits for, no more:
            whether the run may start is checked when it has them.
    """

    def __init__(self, queue: RunQueue, gpus: GpuLeases, decided: Callable[[str], Decision | None]) -> None:
        self._queue, self._gpus, self._decided = queue, gpus, decided
        self._gpus_of: dict[str, int] = {}  # by request: its plan never changes
        self._keeps_part: dict[str, bool] = {}  # likewise
        self._taking = threading.Lock()
        self._held_up: set[str] = set()  # runs that are not in the queue any more and wait for GPUs

    def take(self) -> tuple[Run, tuple[Gpu, ...]] | None:
        """The oldest run that can be run now, with the GPUs that it was leased; None if none can.

        While a run waits for its GPUs no younger one gets any: else one that takes several would wait for ever. Where a
        part of the model stays here, the runs of a request are taken one after the other: each begins with what the
        last one left.
        """
        with self._taking:
            one_waits = bool(self._held_up)
            for run in self._queue.waiting():
                if self._waits_for_its_part(run):
                    continue
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
        """How many GPUs a run takes where there are any: none if it will be refused."""
        if not self._gpus.present:
            return 0
        decision = self._decided(run.request_id)
        if decision is None or decision.decision != "approved":
            return 0
        if run.request_id not in self._gpus_of:
            self._gpus_of[run.request_id] = self._gpus_for(decision)
        return self._gpus_of[run.request_id]

    def _waits_for_its_part(self, run: Run) -> bool:
        """Whether another run of the same request is at work, and leaves the local part that this one begins with."""
        if run.request_id not in self._keeps_part:
            decision = self._decided(run.request_id)
            if decision is None or decision.decision != "approved":
                return False
            self._keeps_part[run.request_id] = _keeps_part(decision)
        if not self._keeps_part[run.request_id]:
            return False
        return any(other.state == "running" for other in self._queue.list(run.request_id))

    def _gpus_for(self, decision: Decision) -> int:
        try:
            return gpus_of(decision.approved_plan, self._gpus)
        except WanwuError:
            return 0


def _keeps_part(decision: Decision) -> bool:
    try:
        return keeps_part(decision.approved_plan)
    except WanwuError:  # whether the run may start is checked when it does
        return False


def gpus_of(plan: Plan, gpus: GpuLeases) -> int:
    """How many GPUs a run of this plan takes: as many as one gets for private training, whose steps can be shared;
    else one, or none."""
    if not gpus.present or plan.run.device == "cpu":
        return 0
    return gpus.per_run if isinstance(plan, TrainingPlan) and plan.privacy is not None else 1
