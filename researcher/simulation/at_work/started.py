"""Workers of a simulation, started as its settings say and ended with a `with` block."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from policies.plans.server.local_part import LOCAL
from policies.plans.server.server_spec import BESIDE
from researcher.simulation.at_work.cluster import ray_cluster
from researcher.simulation.at_work.on_ray import GIGABYTE, OnRay, start_workers, store_bytes
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.work import Work, bytes_of
from researcher.simulation.workers import Retried, Workers
from researcher.stops import stoppable

_MODEL_BYTES = 16_000_000  # for which a store has room that is started before the model is known
_SHARED = Path("/dev/shm")  # noqa: S108 - where Ray keeps a store


class Places:
    """Where a simulation's hospitals train. It ends with the `with` block, if not before; signals to stop end that."""

    def __init__(self, simulation: SimulationSettings) -> None:
        """Starts nothing.

        Args:
            simulation: Says where hospitals train, and how many at a time.
        """
        self._simulation = simulation
        self._most = simulation.workers or len(os.sched_getaffinity(0))
        self._stack, self._stops = contextlib.ExitStack(), contextlib.ExitStack()
        self._held: tuple[Any, list[Any]] | None = None
        self._store_bytes = 0

    def __enter__(self) -> Self:
        self._stops.enter_context(stoppable())
        return self

    def __exit__(self, *raised: object) -> None:
        with self._stops:
            self._end()

    def begin(self, data_bytes: int) -> None:
        """Starts a cluster of this machine before the model is known, where there is memory for one that may be large.

        Its workers import meanwhile what they need.

        Args:
            data_bytes: Of all pictures.

        Raises:
            ConfigError: As `workers`.
        """
        needed = store_bytes(data_bytes, _MODEL_BYTES, self._most, alike=False)
        if not (self._simulation.in_process or self._simulation.ray_address) and _has_room(needed):
            self._start(needed)

    @contextlib.contextmanager
    def workers(self, work: Work, on_retried: Retried) -> Iterator[Workers]:
        """The workers for the length of a `with` block.

        Args:
            work: To do.
            on_retried: Told what is trained again.

        Raises:
            ConfigError: Ray is missing, or does not start or answer.
        """
        simulation = self._simulation
        if simulation.in_process:
            from researcher.simulation.at_work.in_this_process import InThisProcess  # late: it is what imports torch

            yield InThisProcess(work, simulation.seed)
            return
        model_bytes = sum(array.nbytes for array in work.first_weights.values())
        alike = work.plan.server.strategy not in (*BESIDE, *LOCAL)
        needed = store_bytes(bytes_of(work.pictures, work.hold_out), model_bytes, self._most, alike=alike)
        held = self._held
        if held is None or needed > self._store_bytes:
            self._end()
            held = self._start(needed)
        memory = round(simulation.worker_memory * GIGABYTE)
        with self._stack:
            ray, places = held
            yield OnRay(ray, work, simulation.seed, places=places, memory_bytes=memory, on_retried=on_retried)

    def _start(self, needed: int) -> tuple[Any, list[Any]]:
        simulation = self._simulation
        cluster = ray_cluster(simulation.ray_address, workers=simulation.workers, store_bytes=needed)
        ray, workers = self._stack.enter_context(cluster)
        self._held = found = ray, start_workers(ray, workers)
        self._store_bytes = needed
        return found

    def _end(self) -> None:
        self._held = None
        self._stack.close()


def _has_room(needed: int) -> bool:
    """Whether this machine's memory holds a store twice, as far as is known."""
    try:
        lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
        shared = shutil.disk_usage(_SHARED).free
    except OSError:
        return False
    return 2 * needed <= min([shared, *(int(line[1]) << 10 for line in lines if line[0] == "MemAvailable:")])
