"""Launchers start the processes of runs, here or on a node of a cluster; each such process is a runner.

A launcher is asked for a runner, the runner is given one job and watched, and whatever becomes of it, nothing of it
works on when `execute` has returned. What it took of other machines is given back after the run's end has shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from datasites.runs.processes.job import Job

# What a researcher reads of a run that a cluster gave no place.
NOT_PLACED = (
    "The hospital's cluster did not take the run, or ended it before it was ready; it read no picture. Ask the "
    "hospital: its log says why."
)
NO_NODE = (
    "The hospital's cluster had no room for the run in the time that the hospital lets one wait; it read no picture. "
    "Ask for the round again, or ask the hospital."
)
NEVER_BEGAN = frozenset({NOT_PLACED, NO_NODE})


class Runner(Protocol):
    """One run's process, wherever it is."""

    @property
    def known_as(self) -> Mapping[str, int]:
        """What the hospital's people find it by: the kind of number → the number."""

    def execute(
        self,
        job: Job,
        *,
        begin: Callable[[], None],
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
        told: Callable[[str], None] = ...,
    ) -> None:
        """Gives it its job and returns when the result is written and nothing of it works any more."""

    def peak_memory_mb(self) -> int:
        """Most memory that its first process held so far, in MB; 0 where that is not known."""

    @property
    def waited_seconds(self) -> float:
        """How long it waited for a place to work at, in seconds, once it has begun."""

    def release(self) -> None:
        """Gives back what it took beside its process. Called once, after `execute`, whatever came of that."""


class Launcher(Protocol):
    """What starts runners.

    Attributes:
        elsewhere: Whether they are on other machines than the datasite's, and are closed in by what is found there.
    """

    @property
    def elsewhere(self) -> bool: ...

    def warm_up(self) -> None:
        """Prepares what all runners need, unless that was done. A failure is left to the first run."""

    def start(self, *, group: int | None = None) -> Runner:
        """A new runner, waiting for its job.

        Args:
            group: An open `cgroup.procs` of the control group that it enters, if there is one.
        """

    def stop(self) -> None:
        """Ends every runner, and what they stand on."""
