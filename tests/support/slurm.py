"""A Slurm of the tests' own: munged, slurmctld and slurmd from Debian's packages, one node, on loopback.

All of it is in a folder and on ports of this process. Only root can start it: slurmd starts steps as their users.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

_PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "squeue")
_CONF = """\
ClusterName=wanwu
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/{track}
TaskPlugin=task/{task}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.log
AccountingStorageType=accounting_storage/none
GresTypes=gpu
KillWait=2
SlurmdTimeout=10
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 Gres=gpu:2
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes={host} MaxTime=2 State=UP
PartitionName=down Nodes={host} MaxTime=INFINITE State=DOWN
"""


def look() -> None:
    """Skips a test where Slurm is not installed, or cannot be started."""
    lacking = [name for name in _PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)} here: Debian's packages 'slurm-wlm' and 'munge'")
    if os.geteuid() != 0:
        pytest.skip("only root starts a Slurm of its own")


@dataclass
class Cluster:
    """One node and its controller."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What Slurm's programs need to find it."""
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin", "SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *words: str) -> str:
        """What one of Slurm's programs prints, with what it complains of."""
        done = subprocess.run(
            words,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CEILING_SECONDS,
        )
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """Names of the jobs that wait, run or end."""
        chosen = [f"--states={','.join(states)}"] if states else []
        return self.ask("squeue", "--noheader", "--format=%j", *chosen).split()

    def logs(self) -> str:
        """All that Slurm has written about jobs: its daemons' logs, its list of ended jobs, what its state holds."""
        texts = [file.read_bytes() for file in self.folder.rglob("*") if file.is_file() and file.name != "key"]
        return b"\n".join(texts).decode("utf-8", "replace")

    def start(self, name: str, *options: str) -> None:
        """Starts one of the daemons."""
        with (self.folder / f"{name}.said").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [name, *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def start_node(self) -> None:
        """Starts slurmd, and waits until the controller takes the node for idle."""
        self.start("slurmd", "-D", "-f", str(self.folder / "slurm.conf"))
        wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--partition=main", "--format=%t"))

    def kill(self, name: str) -> None:
        """Kills one of the daemons, as a power cut does; what it has started goes on."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(timeout=CEILING_SECONDS)

    def steps(self) -> list[psutil.Process]:
        """The processes that hold a step of a job: with one of them all that it has started loses its way out."""
        return [one for one in psutil.process_iter() if self._owns(one)]

    def _owns(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):  # it may end meanwhile
            step = "slurmstepd" in process.name()
            return step and any(Path(one.path).is_relative_to(self.folder) for one in process.open_files())
        return False


_CONTROLLERS = tuple(Path("/sys/fs/cgroup") / name for name in ("memory", "freezer", "devices", "cpuset"))
_CGROUPS = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainDevices=yes
AllowedRAMSpace=100
"""


@contextmanager
def cluster(*, cgroups: bool = False) -> Iterator[Cluster]:
    """A running cluster that this process' `srun` finds; ended and removed afterwards.

    Args:
        cgroups: Whether it holds steps to their memory and devices; one such cluster at a time.
    """
    look()
    if cgroups and not all(os.access(one, os.W_OK) for one in _CONTROLLERS):
        pytest.skip("no control groups of the first version that Slurm could divide; the second needs systemd")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    made = Cluster(folder)
    try:
        folder.chmod(0o755)
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(mode=0o700)
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        values: Mapping[str, object] = {
            "host": host,
            "folder": folder,
            "controller": free_port(),
            "node": free_port(),
            "cpus": os.cpu_count(),
            "track": "cgroup" if cgroups else "linuxproc",
            "task": "cgroup" if cgroups else "none",
        }
        (folder / "slurm.conf").write_text(_CONF.format_map(values))
        (folder / "cgroup.conf").write_text(_CGROUPS if cgroups else "CgroupAutomount=no\n")
        _write_gpus(folder)
        places = {
            "socket": "munge.socket",
            "pid-file": "munge/pid",
            "log-file": "munged.log",
            "seed-file": "munge/seed",
        }
        told = [f"--{option}={folder / place}" for option, place in places.items()]
        made.start("munged", "--foreground", "--force", f"--key-file={key}", *told)
        wait_for((folder / "munge.socket").exists)
        made.start("slurmctld", "-D", "-f", str(folder / "slurm.conf"))
        made.start_node()
        with patch.dict(os.environ, SLURM_CONF=made.environment["SLURM_CONF"]):
            yield made
    finally:
        made.ask("scancel", "--user=0") if "slurmctld" in made.processes else None
        for step in made.steps():
            with suppress(psutil.Error):
                step.kill()
        for process in reversed(made.processes.values()):
            process.kill()
            process.wait(timeout=CEILING_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
        if cgroups:
            _remove_groups()


def _remove_groups() -> None:
    """Removes the control groups that Slurm leaves, which nothing is in any more."""
    for controller in _CONTROLLERS:
        for group in sorted(controller.glob("slurm_*/**/"), reverse=True):
            with suppress(OSError):
                group.rmdir()


def _write_gpus(folder: Path) -> None:
    """Two GPUs that Slurm can give: device files of two kinds that lead nowhere."""
    lines = []
    for number in range(2):
        device = folder / f"nvidia{number}"
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 5 + 2 * number))
        lines.append(f"Name=gpu File={device}\n")
    (folder / "gres.conf").write_text("".join(lines))
