"""Kernels that are ready before a run is closed in: found in the hospital's store, or compiled now, one set at a time.

A run without them is no failure: it takes torch's operations, which do the same more slowly, and the log says so.
Nothing here hangs on a picture: a set's key and what compiles it are made of the plan and the machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu
from datasites.runs.kernels.kernel_key import has_kernels, kernel_key
from datasites.runs.kernels.kernel_store import MOST_SET_BYTES, KernelsRefused, KernelStore, size_of
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels.compiler import FILES
from datasites.runs.processes.launcher import Launcher
from datasites.runs.sandbox.confinement import Confinement
from datasites.runs.sandbox.limits import RunLimits
from policies.errors import RunCancelled, WanwuError
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan

log = logging.getLogger(__name__)

COMPILE_SECONDS = 900
RETRY_SECONDS = 3600.0
_TURN_SECONDS = 0.2


class ReadyKernels:
    """The kernels of one datasite's runs and rehearsals. Threads share it.

    Attributes:
        enclosure: Closes each process in.
    """

    def __init__(self, folder: Path, launcher: Launcher, enclosure: Enclosure, limits: RunLimits) -> None:
        """Looks for nothing yet.

        Args:
            folder: Where they are kept.
            launcher: Starts the process that compiles, where runs are on this machine; elsewhere nothing is compiled.
            enclosure: Closes it in, as it does each run.
            limits: The most that one run may take, and the process that compiles likewise.
        """
        self.enclosure = enclosure
        self._store, self._launcher, self._limits = KernelStore(folder), launcher, limits
        self._turn = threading.Lock()
        self._failed: dict[str, float] = {}  # by key: until when it is not tried again

    def tidy(self) -> None:
        """Removes what an earlier start left half made, and what nobody needed for long; before anything runs."""
        self._store.clear_rooms()
        self._store.trim()

    def compile_missing(self, plan: Plan, gpus: tuple[Gpu, ...], name: str, given_up: Callable[[], bool]) -> bool:
        """Compiles a plan's kernels for these GPUs where there are none. A failure is told to the log and no further.

        Args:
            plan: As approved.
            gpus: That the run was leased, and that nobody else has meanwhile.
            name: Of a control group; no two at a time have the same.
            given_up: Whether nobody waits for the run any more; asked again and again.

        Returns:
            Whether time was spent on it.

        Raises:
            RunCancelled: `given_up()` became true.
        """
        if self._launcher.elsewhere or not has_kernels(plan, gpus) or not isinstance(plan, TrainingPlan):
            return False
        key = kernel_key(plan, gpus)
        if self._failed.get(key, 0.0) > time.monotonic() or self._store.find(key) is not None:
            return False
        while not self._turn.acquire(timeout=_TURN_SECONDS):
            if given_up():
                raise RunCancelled("The run was cancelled; nothing left the hospital.")
        try:
            if self._failed.get(key, 0.0) <= time.monotonic() and self._store.find(key) is None:
                self._compile(plan, key, gpus, name, given_up)
        finally:
            self._turn.release()
        return True

    def given(self, confinement: Confinement, plan: Plan) -> Confinement:
        """How a run is closed in that is given its kernels, where there are any."""
        gpus = confinement.gpus
        if self._launcher.elsewhere or not has_kernels(plan, gpus) or not isinstance(plan, TrainingPlan):
            return confinement
        return replace(confinement, kernels=self._store.find(kernel_key(plan, gpus)))

    def _compile(
        self, plan: TrainingPlan, key: str, gpus: tuple[Gpu, ...], name: str, given_up: Callable[[], bool]
    ) -> None:
        begun, told = time.monotonic(), list[str]()
        try:
            with self._store.room() as room:
                self._run(plan, room, gpus, f"kernels-{name}", given_up, told.append)
                self._store.keep(key, room / FILES)
        except (WanwuError, KernelsRefused, OSError) as error:
            if isinstance(error, RunCancelled) and given_up():
                raise
            self._failed[key] = time.monotonic() + RETRY_SECONDS
            why = told[-1] if told else _why(error)
            log.warning("kernels could not be compiled; runs take slower ways, see the doctor: %s", why)
        else:
            log.info("kernels compiled in %.0f s", time.monotonic() - begun)

    def _run(
        self,
        plan: TrainingPlan,
        room: Path,
        gpus: tuple[Gpu, ...],
        name: str,
        given_up: Callable[[], bool],
        told: Callable[[str], None],
    ) -> None:
        """Runs the process that compiles, closed in, with one of the run's GPUs; `told` is told its traceback."""
        confined = replace(self.enclosure.confine(gpus[:1]), kernels=room.resolve(), compiles=True)
        job = Job(plan.to_json(), 0, store="", weights="", result="", confinement=confined, rehearses=True)
        with self.enclosure.entrance(name) as group:
            process = self._launcher.start(group=group)
            try:
                process.execute(
                    job,
                    begin=lambda: None,
                    timeout_seconds=min(COMPILE_SECONDS, self._limits.wall_seconds_per_run),
                    cancelled=lambda: given_up() or size_of(room) > MOST_SET_BYTES,
                    progress=lambda share: None,
                    told=told,
                )
            finally:
                process.release()


def _why(error: Exception) -> str:
    """Why nothing was compiled, where the process that should have did not say it."""
    if isinstance(error, RunCancelled):
        return f"more than {MOST_SET_BYTES >> 20} MiB were written"
    if isinstance(error, WanwuError):
        return error.private or f"it took longer than {COMPILE_SECONDS} seconds, or than wall_seconds_per_run"
    return str(error)
