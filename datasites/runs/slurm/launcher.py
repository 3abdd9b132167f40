"""Starts runs on the hospital's cluster, and ends what an earlier start of the datasite left there."""

from __future__ import annotations

import logging
import threading
import weakref
from pathlib import Path

from datasites.config import DatasiteConfig
from datasites.files.log_file import MAX_LOG_BYTES, cut
from datasites.files.state_folder import StateFolder
from datasites.runs.gpus import Gpu, find_gpus
from datasites.runs.processes.launcher import Launcher
from datasites.runs.slurm.placed_run import PlacedRun
from datasites.runs.slurm.srun import STEP, Slurm
from policies.errors import ConfigError

log = logging.getLogger(__name__)


class SlurmLauncher:
    """Starts each run as a job of its own, with one step of one task.

    Attributes:
        elsewhere: That runs are not on the datasite's machine.
    """

    elsewhere = True

    def __init__(self, slurm: Slurm, *, log: Path, program: str = STEP, max_log_bytes: int = MAX_LOG_BYTES) -> None:
        """Asks Slurm for nothing yet.

        Args:
            slurm: The cluster.
            log: The hospital's log of runs.
            program: Python of each step; tests bring one whose runs do something else than training.
            max_log_bytes: Size beyond which the log loses its earlier lines, before the next run.
        """
        self._slurm, self._log, self._program, self._max_log_bytes = slurm, log, program, max_log_bytes
        self._runs: weakref.WeakSet[PlacedRun] = weakref.WeakSet()
        self._lock, self._swept = threading.Lock(), False

    def warm_up(self) -> None:
        """Ends the jobs that an earlier start of this datasite left, once. Slurm's silence is left to the first run."""
        with self._lock:
            if self._swept:
                return
            try:
                own = {run.name for run in self._runs}
                if left := [name for name in self._slurm.left() if name not in own]:
                    log.warning("%d jobs of an earlier start are ended on the cluster", len(left))
                    self._slurm.cancel(*left)
                self._swept = True
            except ConfigError as error:
                log.warning("%s %s", error.public, error.private)

    def start(self, *, group: int | None = None) -> PlacedRun:
        """A new run, which asks for its node when it gets its job.

        Args:
            group: Of no use: the cluster has control groups of its own.
        """
        self.warm_up()
        cut(self._log, self._max_log_bytes)
        with self._lock:
            run = PlacedRun(self._slurm, self._log, program=self._program)
            self._runs.add(run)
        return run

    def stop(self) -> None:
        """Ends every job that this start has asked for."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.kill()


def launcher_of(config: DatasiteConfig, state: StateFolder, here: Launcher) -> Launcher:
    """What starts a datasite's runs, as its settings say: `here`, on its own machine, or Slurm on a node.

    Args:
        config: The datasite's settings.
        state: Its folder.
        here: What starts them on its own machine.
    """
    if not config.on_slurm:
        return here
    cluster = Slurm(config, config.run_limits, config.threads_per_run, state.path)
    return SlurmLauncher(cluster, log=state.logs / "runs.log", max_log_bytes=config.max_log_bytes)


def leased_gpus(config: DatasiteConfig) -> tuple[Gpu, ...]:
    """What runs are leased: the machine's GPUs, or as many stand-ins as all runs may have at once.

    Which GPUs a run has on the cluster is for Slurm to say, and so is who waits for them: nobody waits here.
    """
    if not config.on_slurm:
        return find_gpus()
    return tuple(Gpu(number, "of Slurm's choice") for number in range(config.gpus_per_run * config.concurrent_runs))
