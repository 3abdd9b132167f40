"""Slurm's programs as the datasite calls them: what a step is asked for with, and what is asked about the cluster.

A job's name, command and options can be read by anybody who may list the cluster's jobs, and stay in its accounting.
So nothing of a request, a study, a plan or a dataset is in them: they are the same for each run, but for what it takes
and for a number drawn at random.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasites.runs.processes.process import clean_environment
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.slurm.node import memory_mib
from datasites.runs.slurm.settings import SlurmSettings
from policies.errors import ConfigError

STEP = "from datasites.runs.slurm.step import main; main()"
ASKING_SECONDS = 30.0  # so long an answer of Slurm's controller may take
# Beside the time that a run may take to become ready, and again to work: its program's start, and the grid of ends.
_START_SECONDS, _SHOWN_LATER = 600.0, 1.05


@dataclass(frozen=True)
class Slurm:
    """The cluster, as one datasite may use it.

    Attributes:
        settings: Partition, account and what else the hospital has set.
        limits: The most that one run may take.
        threads: Processors of one run.
        state: The datasite's state folder, by which its jobs are told from others'.
    """

    settings: SlurmSettings
    limits: RunLimits
    threads: int
    state: Path

    @property
    def prefix(self) -> str:
        """What the names of all jobs of this datasite begin with; it tells a digest of a path."""
        return f"wanwu-{hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:8]}-"

    def new_name(self) -> str:
        """A job's name that no other has."""
        return self.prefix + secrets.token_hex(4)

    def minutes(self, timeout_seconds: float) -> int:
        """How long a node is asked for, for a run that may take so long to become ready, and again to work."""
        wanted = math.ceil((2 * timeout_seconds * _SHOWN_LATER + _START_SECONDS) / 60)
        return min(wanted, self.settings.slurm_minutes) if self.settings.slurm_minutes else wanted

    def step(self, name: str, *, gpus: int, minutes: int, program: str = STEP, wait: int | None = None) -> list[str]:
        """The command that asks for a node's part and starts a program of this platform's there.

        Args:
            name: Of the job.
            gpus: How many GPUs it is to have, all on one node.
            minutes: How long it may last.
            program: Python that is run there.
            wait: Seconds after which it gives up where no node is free; None waits.

        Raises:
            ConfigError: There is no `srun`, or a path of this platform cannot be told to it.
        """
        settings = self.settings
        chosen = {
            "partition": settings.slurm_partition,
            "account": settings.slurm_account,
            "qos": settings.slurm_qos,
            "constraint": settings.slurm_constraint,
            "reservation": settings.slurm_reservation,
            "gres": ":".join(part for part in ("gpu", settings.slurm_gpu_type, str(gpus)) if part) if gpus else "",
            "immediate": "" if wait is None else str(wait),
        }
        return [
            self._program("srun"),
            *("--quiet", "--nodes=1", "--ntasks=1", f"--job-name={name}", f"--time={minutes}"),
            *(f"--cpus-per-task={self.threads}", f"--mem={memory_mib(self.limits.memory_bytes_per_run)}M"),
            *(f"--{option}={value}" for option, value in chosen.items() if value),
            # None of the datasite's environment and limits; no listener for a library that nobody uses.
            *(f"--export={_told(clean_environment(self.threads))}", "--propagate=NONE", "--mpi=none", "--chdir=/"),
            *(sys.executable, "-c", program),
        ]

    def environment(self) -> dict[str, str]:
        """What Slurm's own programs get: where they find each other, and no setting that stood around."""
        kept = {name: os.environ[name] for name in ("PATH", "SLURM_CONF", "HOME") if name in os.environ}
        return {**kept, "LC_ALL": "C.UTF-8"}

    def cancel(self, *names: str) -> None:
        """Ends jobs, also such as wait for a node. What fails here is left to the step, which ends without a word."""
        for name in names:
            self._ask("scancel", f"--name={name}", f"--user={os.geteuid()}")

    def left(self) -> list[str]:
        """Names of the jobs of this datasite that wait, run or are ending, as Slurm knows them."""
        listed = self._ask("squeue", "--noheader", f"--user={os.geteuid()}", "--format=%j")
        return [name for name in listed.stdout.split() if name.startswith(self.prefix)]

    def version(self) -> str:
        """Slurm's name and version, as `srun` tells them."""
        return self._ask("srun", "--version").stdout.strip()

    def partition(self) -> dict[str, str]:
        """What the controller tells of the partition that runs would be in: key → value.

        Raises:
            ConfigError: It is not there, or the controller does not answer.
        """
        name = self.settings.slurm_partition
        told = self._ask("scontrol", "show", "partition", *([name] if name else []), "--oneliner")
        lines = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in told.stdout.splitlines() if line]
        found = next((line for line in lines if name or line.get("Default") == "YES"), None)
        if told.returncode or found is None:
            said = " ".join((told.stderr or told.stdout).split())
            raise ConfigError(
                f"Slurm has no partition {name!r}." if name else "Slurm has no default partition: set slurm_partition.",
                private=said,
            )
        return found

    def _ask(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._program(program), *arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASKING_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"Slurm's {program} could not be asked. Is the cluster up?", private=repr(error)
            ) from error

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self.settings.slurm_programs or None)
        if found is None:
            place = self.settings.slurm_programs or "PATH"
            raise ConfigError(
                f"Slurm's program {name} is not in {place}. Install Slurm's client programs, or set slurm_programs."
            )
        return found


def _told(environment: Mapping[str, str]) -> str:
    """Names and values as `--export` takes them: these, and nothing else.

    Raises:
        ConfigError: A value has a comma.
    """
    for name, value in environment.items():
        if "," in value:
            raise ConfigError(f"{name} is {value!r}, and Slurm takes no comma in it. Start the datasite without it.")
    return ",".join(f"{name}={value}" for name, value in environment.items())
