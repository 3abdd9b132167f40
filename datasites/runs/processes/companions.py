"""The other processes of a run that has several GPUs. They speak to the run's first process and to nobody else.

They are forked before the run is closed in, and then each closes itself in. They have the pictures, memory that they
share with the first, and a pipe to it; no result file, no progress, no hospital's log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from datasites.runs.processes.last_words import last_words
from datasites.runs.sandbox.confinement import missing_pieces
from policies.errors import SandboxMissing, TeamBroken

if TYPE_CHECKING:
    from datasites.training.process_group.shared_memory_team import SharedMemoryTeam
    from datasites.training.process_group.team_memory import TeamMemory

_MISSING = "missing "


def fork(
    processes: int, *, parameters: int, pictures: int, live: Callable[[SharedMemoryTeam], object]
) -> SharedMemoryTeam:
    """Forks all processes of a run but the first, which is this one. It must have one thread.

    Args:
        processes: How many the run has, at least 2.
        parameters: Most numbers that the model has.
        pictures: How many the dataset has.
        live: What each of the others does before it ends.

    Returns:
        This process's place among them.
    """
    from datasites.training.process_group.shared_memory_team import SharedMemoryTeam
    from datasites.training.process_group.team_memory import TeamMemory
    from policies.plans.training import MAX_PICTURES_PER_PATIENT

    memory = TeamMemory(
        processes, parameters=parameters, sample=(1 + MAX_PICTURES_PER_PATIENT) * pictures
    )  # places and pictures
    for rank in range(1, processes):
        if os.fork() == 0:
            _live(memory, rank, live)
    return SharedMemoryTeam(memory, 0)


def wait_until_closed_in(team: SharedMemoryTeam) -> None:
    """Waits, in the first process, until all others are closed in.

    Raises:
        SandboxMissing: One could not be.
        TeamBroken: One has ended.
    """
    try:
        team.gather()
    except TeamBroken as error:
        if error.private.startswith(_MISSING):
            raise missing_pieces({}, told=error.private.removeprefix(_MISSING)) from error
        raise


def _live(memory: TeamMemory, rank: int, live: Callable[[SharedMemoryTeam], object]) -> NoReturn:
    """All that a companion does. Its end, whatever it is, closes its pipes, which the first process notices."""
    from datasites.training.process_group.shared_memory_team import SharedMemoryTeam

    status = 1
    try:
        team = SharedMemoryTeam(memory, rank)
        try:
            live(team)
            status = 0
        except SandboxMissing as error:
            team.give_up(_MISSING + error.private)
        except BaseException as error:  # noqa: BLE001 - it ends here, whatever it is; its text may hold pictures
            team.give_up(last_words(error))
    finally:
        os._exit(status)
