"""Settings of where runs are started: on the datasite's machine, or on a node of the hospital's Slurm cluster.

What is named here reaches Slurm as one option each. Other options of `srun` cannot be set: some would open what a run
closes, write its words to files, or say more than a job should.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from policies.settings import setting
from policies.validate import Checks

MACHINE, SLURM = "machine", "slurm"
_checks = Checks(ConfigError)
# What Slurm's names are made of; the second also takes its signs for "and" and "or" between features.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_FEATURES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.&|-]{0,199}")
_NAMES = ("partition", "account", "qos", "reservation", "gpu_type")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """A datasite's settings of where its runs are started; see `datasites.config.DatasiteConfig`."""

    runs_on: str = setting(
        "Where runs are started: 'machine', the datasite's own, or 'slurm', a node of the hospital's cluster.",
        default=MACHINE,
        choices=(MACHINE, SLURM),
    )
    slurm_partition: str = setting("Slurm's partition for runs; empty for the cluster's default.", default="")
    slurm_account: str = setting("Slurm's account that runs are counted to; empty for the user's default.", default="")
    slurm_qos: str = setting("Slurm's quality of service for runs; empty for the default.", default="")
    slurm_constraint: str = setting(
        "Features that a node must have for runs, written as Slurm takes a constraint; empty for any node.", default=""
    )
    slurm_reservation: str = setting("Slurm's reservation that runs take their nodes from; empty for none.", default="")
    slurm_gpu_type: str = setting("Type of GPU that runs ask for, as Slurm names it; empty for any.", default="")
    slurm_minutes: int = setting(
        "Most minutes of a node that a run asks for; 0 for as long as the run's own limits let it take.", default=0
    )
    slurm_wait_minutes: int = setting(
        "Longest time that a run waits for a node, in minutes; then it fails, and nothing is charged.", default=1440
    )
    slurm_programs: str = setting(
        "Folder with Slurm's programs srun, scancel, squeue and scontrol; empty where the service's PATH finds them.",
        default="",
    )

    def check_slurm(self, runs_per_gpu: int) -> None:
        """Checks all of them.

        Args:
            runs_per_gpu: How many runs share a GPU.

        Raises:
            ConfigError: One is not of its kind, or no name that Slurm could know, or runs there were to share a GPU.
        """
        _checks.choice("runs_on", self.runs_on, (MACHINE, SLURM))
        for name in _NAMES:
            _check(f"slurm_{name}", getattr(self, f"slurm_{name}"), _NAME)
        _check("slurm_constraint", self.slurm_constraint, _FEATURES)
        _checks.integer("slurm_minutes", self.slurm_minutes, low=0, high=10**7)
        _checks.integer("slurm_wait_minutes", self.slurm_wait_minutes, low=1, high=10**6)
        if not isinstance(self.slurm_programs, str) or (self.slurm_programs and not _is_folder(self.slurm_programs)):
            raise ConfigError(
                f"slurm_programs must be empty, or the absolute path of a folder, got {self.slurm_programs!r}."
            )
        if self.on_slurm and runs_per_gpu > 1:
            raise ConfigError(
                f"runs_per_gpu is {runs_per_gpu}, but Slurm gives each run GPUs of its own. Set it to 1, or to 0 for "
                "runs without a GPU."
            )

    @property
    def on_slurm(self) -> bool:
        """Whether runs are started on a cluster."""
        return self.runs_on == SLURM


def _check(name: str, value: Any, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or (value and not pattern.fullmatch(value)):
        raise ConfigError(f"{name} must be empty, or a name that Slurm knows, such as gpu_long, got {value!r}.")


def _is_folder(path: str) -> bool:
    return Path(path).is_absolute() and "\0" not in path
