"""Workers of a simulation, started as its settings say and ended with a `with` block."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from policies.plans.server.local_part import LOCAL
from policies.plans.server.server_spec import BESIDE
from researcher.simulation.at_work.cluster import ray_cluster
from researcher.simulation.at_work.on_ray import GIGABYTE, OnRay, store_bytes
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.work import Work
from researcher.simulation.workers import Retried, Workers


@contextlib.contextmanager
def workers_for(simulation: SimulationSettings, work: Work, on_retried: Retried) -> Iterator[Workers]:
    """The workers for the length of a `with` block.

    Args:
        simulation: Says where they work, and how many.
        work: To do.
        on_retried: Told what is trained again.

    Raises:
        ConfigError: Ray is missing, or does not start or answer.
    """
    if simulation.in_process:
        from researcher.simulation.at_work.in_this_process import InThisProcess  # late: it is what imports torch

        yield InThisProcess(work, simulation.seed)
        return
    most = simulation.workers or len(os.sched_getaffinity(0))
    model_bytes = sum(array.nbytes for array in work.first_weights.values())
    needed = store_bytes(work, model_bytes, most, alike=work.plan.server.strategy not in (*BESIDE, *LOCAL))
    memory = round(simulation.worker_memory * GIGABYTE)
    with ray_cluster(simulation.ray_address, workers=simulation.workers, store_bytes=needed) as (ray, workers):
        yield OnRay(ray, work, simulation.seed, workers=workers, memory_bytes=memory, on_retried=on_retried)
