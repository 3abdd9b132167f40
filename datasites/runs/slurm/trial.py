"""A trial step for the doctor: started as a run's is, it tries the sandbox on its node and says what it found there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from datasites.runs.gpus import find_gpus
from datasites.runs.sandbox.confinement import OF_GPUS, sandbox_report
from datasites.runs.slurm.node import memory_limit, memory_mib, own_gpus
from datasites.runs.slurm.srun import Slurm
from policies import __version__
from policies.errors import ConfigError

PROGRAM = "from datasites.runs.slurm.trial import main; main()"
WAIT_SECONDS = 10  # for a node that is free now
# What Slurm says where none is.
_BUSY = ("Requested nodes are busy", "Immediate execution impossible", "Resource temporarily unavailable")
_MINUTES, _STEP_SECONDS = 2, 150.0


@dataclass(frozen=True)
class Trial:
    """What a step found on its node.

    Attributes:
        node: Its name.
        version: This platform's release there.
        missing: Pieces of the sandbox that runs have to have there, and lack: name → why.
        unseen: Folders of the datasite that are not there.
        gpus: How many GPUs the step can open.
        memory_mib: The limit on its memory, in MiB; 0 where there is none.
    """

    node: str
    version: str
    missing: dict[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    gpus: int = 0
    memory_mib: int = 0

    @classmethod
    def here(cls, folders: Iterable[str]) -> Self:
        """What is found by this process."""
        missing = {one.piece: one.why for one in sandbox_report() if one.required and not one.present}
        unseen = tuple(folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK))
        node = os.environ.get("SLURMD_NODENAME", "")
        limit = memory_limit() or 0
        return cls(node, __version__, missing, unseen, len(own_gpus(find_gpus())), limit >> 20)

    def refuses_gpus(self, slurm: Slurm, gpus: int) -> str:
        """Why a run with so many GPUs would be refused there; empty where it would not."""
        if self.gpus != gpus:
            return f"a run is to have {gpus} GPUs and can open {self.gpus}"
        asked = memory_mib(slurm.limits.memory_bytes_per_run)
        if not self.memory_mib or self.memory_mib > asked:
            return f"no {OF_GPUS} holds a run to its {asked} MiB of memory"
        return ""


def main() -> None:
    """Answers on standard output, for the folders that standard input names."""
    found = Trial.here(json.loads(sys.stdin.readline()))
    sys.stdout.write(json.dumps(vars(found)))


def try_out(slurm: Slurm, folders: Iterable[Path], *, gpus: int) -> Trial | None:
    """What a step finds on the node that Slurm gives it now; None where no node is free.

    Args:
        slurm: The cluster.
        folders: Of the datasite, which runs open files of.
        gpus: How many GPUs to ask for.

    Raises:
        ConfigError: Slurm refused the step, or it ended without an answer.
    """
    name = slurm.new_name()
    command = slurm.step(name, gpus=gpus, minutes=_MINUTES, program=PROGRAM, wait=WAIT_SECONDS)
    asked = json.dumps([str(folder.resolve()) for folder in folders]) + "\n"
    try:
        done = subprocess.run(
            command,
            env=slurm.environment(),
            input=asked,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            timeout=WAIT_SECONDS + _STEP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        slurm.cancel(name)
        raise ConfigError("A step on the cluster did not answer.", private=repr(error)) from error
    if done.returncode == 0:
        values = json.loads(done.stdout)
        return Trial(**{**values, "unseen": tuple(values["unseen"])})
    said = " ".join(done.stderr.split())
    if any(words in said for words in _BUSY):
        return None
    raise ConfigError(f"Slurm does not take a run's step: {said[-400:]}")
