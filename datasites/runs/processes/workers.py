"""The other processes of a run that has several GPUs. They speak to the run's first process and to nobody else.

They are forked before the run is closed in, and then each closes itself in. They have the pictures, memory that they
share with the first, and a pipe to it; no result file, no progress, no hospital's log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from datasites.runs.processes.exception_summary import exception_summary
from datasites.runs.sandbox.confinement import missing_pieces
from datasites.training.process_group.group_memory import GroupMemory
from policies.errors import ProcessGroupBroken, SandboxMissing
from policies.plans.training import MAX_PICTURES_PER_PATIENT

if TYPE_CHECKING:
    from datasites.training.process_group.shared_memory_group import SharedMemoryGroup

_MISSING = "missing "


def fork(
    processes: int, *, parameters: int, pictures: int, live: Callable[[SharedMemoryGroup], object]
) -> SharedMemoryGroup:
    """Forks all processes of a run but the first, which is this one. It must have one thread.

    Args:
        processes: How many the run has, at least 2.
        parameters: Most numbers that the model has.
        pictures: How many the dataset has.
        live: What each of the others does before it ends.

    Returns:
        This process's place among them.
    """
    from datasites.training.process_group.shared_memory_group import SharedMemoryGroup

    # A sample has a row for each drawn unit: its place in the step's batches, and the pictures of it that are read.
    most = (1 + MAX_PICTURES_PER_PATIENT) * pictures
    memory = GroupMemory(processes, parameters=parameters, sample=most)
    for rank in range(1, processes):
        if os.fork() == 0:
            _live(memory, rank, live)
    return SharedMemoryGroup(memory, 0)


def wait_until_closed_in(process_group: SharedMemoryGroup) -> None:
    """Waits, in the first process, until all others are closed in.

    Raises:
        SandboxMissing: One could not be.
        ProcessGroupBroken: One has ended.
    """
    try:
        process_group.barrier()
    except ProcessGroupBroken as error:
        if error.private.startswith(_MISSING):
            raise missing_pieces({}, told=error.private.removeprefix(_MISSING)) from error
        raise


def _live(memory: GroupMemory, rank: int, live: Callable[[SharedMemoryGroup], object]) -> NoReturn:
    """All that a worker does. Its end, whatever it is, closes its pipes, which the first process notices."""
    from datasites.training.process_group.shared_memory_group import SharedMemoryGroup

    status = 1
    try:
        process_group = SharedMemoryGroup(memory, rank)
        try:
            live(process_group)
            status = 0
        except SandboxMissing as error:
            process_group.give_up(_MISSING + error.private)
        except BaseException as error:  # noqa: BLE001 - it ends here, whatever it is; its text may hold pictures
            process_group.give_up(exception_summary(error))
    finally:
        os._exit(status)
