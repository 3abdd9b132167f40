"""The sandbox: closes a run in before it sees the researcher's code, so that nothing leaves it but its result.

A run's process opens what it needs, then gives up, in this order: its environment, its outputs, its share of the
machine beyond its limits, its account (when started as root), its capabilities, the file system and most system calls.
What was open stays: the pictures, read-only; one file for the result; a pipe for progress. Where a run has several
processes, each is closed in by itself; the others than the first have neither file nor progress, but a pipe to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from datasites.runs.gpus import Gpu
from datasites.runs.sandbox import compilers, gpu_rules, kernel, landlock, namespaces, seccomp
from datasites.runs.sandbox.cgroups import find_delegated
from datasites.runs.sandbox.limits import RunLimits, give_way, prefer_as_victim
from policies.errors import SandboxMissing

PROJECT = Path(__file__).resolve().parents[3]
# Accounts that systemd keeps for services without one of their own; nobody's files have them.
RUN_UIDS = range(61_184, 65_520)
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom")
# Not needed where the others are: a second wall, or more than one process needs.
OF_GPUS = "control group"  # nothing else limits the memory of a run with a GPU
OPTIONAL = frozenset({"TCP rules", "signal and socket scope", "own account", OF_GPUS})
OWN_LIST = "own process list"  # of a run with a GPU, which without it sees none and goes on


@dataclass(frozen=True)
class Piece:
    """One piece of the sandbox on this machine.

    Attributes:
        piece: Its name.
        present: Whether runs have it.
        why: Why not; empty where it is present.
    """

    piece: str
    present: bool
    why: str = ""

    @property
    def required(self) -> bool:
        """Whether `require_sandbox` refuses runs without it."""
        return self.piece not in OPTIONAL

    @property
    def required_with_gpus(self) -> bool:
        """Whether it refuses a run that has a GPU without it."""
        return self.required or self.piece == OF_GPUS


@dataclass(frozen=True)
class Confinement:
    """How one run is closed in.

    Attributes:
        limits: The most that it may take.
        required: Whether it ends rather than runs with a piece missing.
        hidden: A folder of which it may read nothing: the datasite's state.
        uid: Account to run as, if started as root.
        gpus: What it was leased.
        kernels: A folder of the state whose files it may read all the same, but not write: kernels of a GPU.
        compiles: Whether it makes these kernels instead: then it may write there, and start compilers.
    """

    limits: RunLimits
    required: bool
    hidden: Path
    uid: int
    gpus: tuple[Gpu, ...] = ()
    kernels: Path | None = None
    compiles: bool = False

    def of_process(self, rank: int, processes: int) -> Confinement:
        """How one process of a run is closed in: with a GPU of its own, and its part of what the run may take.

        Args:
            rank: Which process, from 0; the first writes the result.
            processes: How many the run has.
        """
        if processes == 1:
            return self
        limits = self.limits.part(processes, writes=rank == 0, memory=not self.gpus)
        return replace(self, limits=limits, gpus=self.gpus[rank : rank + 1])

    def to_json(self) -> dict[str, object]:
        """Plain values, for the job's pipe."""
        return {
            "limits": vars(self.limits),
            "required": self.required,
            "hidden": str(self.hidden),
            "uid": self.uid,
            "gpus": [vars(gpu) for gpu in self.gpus],
            "kernels": None if self.kernels is None else str(self.kernels),
            "compiles": self.compiles,
        }

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Confinement:
        """What `to_json` wrote."""
        plain: dict = values
        return cls(
            limits=RunLimits(**plain["limits"]),
            required=plain["required"],
            hidden=Path(plain["hidden"]),
            uid=plain["uid"],
            gpus=tuple(Gpu(**gpu) for gpu in plain["gpus"]),
            kernels=None if plain["kernels"] is None else Path(plain["kernels"]),
            compiles=plain["compiles"],
        )


def enter(confinement: Confinement, missing: dict[str, str]) -> dict[str, str]:
    """Closes this process in, for good. It must have one thread, and be the first of its namespaces or its child.

    Guarantees:
        If it returns with `confinement.required`, every required piece is in force. Whatever happens after it can
        open no file but the interpreter's libraries, the kernels that it was given and what a leased GPU's driver
        looks at, no device but the leased and no socket that anybody reaches, starts no process, and writes to what was
        open before and the names of its threads. With `confinement.compiles` it starts programs
        of the machine too, which are as closed in, and all of them write to the folder of kernels.

    Args:
        confinement: How.
        missing: Namespaces that could not be had: name → why.

    Returns:
        All that could not be had, name → why; nothing of it is required if `confinement.required`.

    Raises:
        SandboxMissing: A required piece could not be had.
    """
    kernel.libc()
    with contextlib.suppress(OSError):
        prefer_as_victim()
    with contextlib.suppress(OSError):
        give_way()
    compilers.forget_environment(confinement.gpus, compiles=confinement.compiles)
    if confinement.kernels is not None:
        os.chdir(confinement.kernels)
    landlock_version, failed = landlock.version(), dict(missing)
    for name, step in steps(confinement, missing):
        try:
            step()
        except OSError as error:
            failed[name] = str(error)
    failed.update(_weak_rules(failed, landlock_version))
    refused = sorted(set(failed) - OPTIONAL - {OWN_LIST})
    if os.geteuid() == 0:
        refused.append("own account")
    if confinement.required and refused:
        raise missing_pieces({name: failed.get(name, "") for name in refused})
    return failed


def steps(confinement: Confinement, missing: Container[str]) -> tuple[tuple[str, Callable[[], object]], ...]:
    """The pieces that a process puts up around itself one after the other, by name; `missing` are namespaces.

    Each may raise OSError; SandboxMissing is raised where the state folder lies in what runs read.
    """
    gpus, made = confinement.gpus, compilers.rules() if confinement.compiles else {}
    rules = {"readable": _readable(confinement), "devices": gpu_rules.devices(gpus), "named": gpu_rules.named(gpus)}
    listens = bool(gpus) and "network namespace" not in missing
    own_list = ((OWN_LIST, namespaces.list_own_processes),) if gpus and namespaces.PROCESS not in missing else ()
    return (
        *own_list,
        ("resource limits", lambda: confinement.limits.apply(address_space=not gpus)),
        ("own account", lambda: _take_account(confinement.uid)),
        ("no capabilities", kernel.drop_capabilities),
        ("no new privileges", partial(kernel.prctl, kernel.PR_SET_NO_NEW_PRIVS, 1)),
        ("closed to debuggers", partial(kernel.prctl, kernel.PR_SET_DUMPABLE, 0)),
        ("ends with its parent", partial(kernel.prctl, kernel.PR_SET_PDEATHSIG, int(signal.SIGKILL))),
        ("file rules", lambda: landlock.restrict(**rules, **made)),
        ("system call filter", partial(seccomp.restrict, compiles=confinement.compiles, gpus=listens)),
    )


def silence() -> None:
    """Input and both outputs of this process lead nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def missing_pieces(failed: dict[str, str], *, told: str = "") -> SandboxMissing:
    """The refusal where required pieces are missing; what is missing is for the hospital alone."""
    told = told or "The sandbox lacks " + "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
    return SandboxMissing(
        "This hospital's datasite cannot close runs in on its machine at present, so it refuses them; nothing was "
        "spent. Ask the hospital: its log says what is missing.",
        private=told,
    )


def sandbox_report() -> tuple[Piece, ...]:
    """Tries every piece of the sandbox in a process of its own, and says what runs on this machine have."""
    names = (*namespaces.KINDS, *_STEPS, *_RULES)
    try:
        tried = subprocess.run(
            [sys.executable, "-c", "from datasites.runs.sandbox.confinement import _try_all; _try_all()"],
            env={"PYTHONPATH": str(PROJECT)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
        failed: dict[str, str] = json.loads(tried.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        failed = dict.fromkeys(names, f"the sandbox could not be tried ({error})")
    try:
        find_delegated()
    except OSError as error:
        failed[OF_GPUS] = str(error)
    return tuple(Piece(name, name not in failed, failed.get(name, "")) for name in (*names, OF_GPUS))


def draw_uid() -> int:
    """An account for one run, if the datasite is root's: one that has no name and no files. Else the datasite's own."""
    if os.geteuid() != 0:
        return os.geteuid()
    taken = {account.pw_uid for account in pwd.getpwall()}
    return secrets.choice([uid for uid in RUN_UIDS if uid not in taken])


_STEPS = (
    "resource limits",
    "own account",
    "no capabilities",
    "no new privileges",
    "closed to debuggers",
    "ends with its parent",
    "file rules",
    "system call filter",
)
_RULES = ("TCP rules", "signal and socket scope")


def _try_all() -> None:
    """The program of `sandbox_report`'s process: writes what is missing to standard output."""
    missing = namespaces.separate()
    limits = RunLimits(1 << 30, 60, 60, 64, 1 << 20)
    confinement = Confinement(limits, required=False, hidden=Path("/nonexistent"), uid=draw_uid())
    failed = enter(confinement, missing)
    sys.stdout.write(json.dumps(failed))


def _take_account(uid: int) -> None:
    """Leaves root's account. Sets the real, effective and saved identity, and no group but the account's own."""
    if os.geteuid() != 0:
        if os.getuid() != uid:
            raise OSError(f"the datasite's account is {os.getuid()}, not {uid}")
        raise OSError("the datasite was not started as root; runs have its account, behind the other pieces")
    if uid == 0:
        raise OSError("a run may not have root's account")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _readable(confinement: Confinement) -> list[Path]:
    """The interpreter, its libraries, and what tells them which processor this is. Nothing of the state folder."""
    paths = {Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {PROJECT / "datasites", PROJECT / "policies", *map(Path, (*_LIBRARIES, *_MACHINE))}
    paths |= set(gpu_rules.readable(confinement.gpus))
    hidden = confinement.hidden.resolve()
    for path in paths:
        if hidden.is_relative_to(path.resolve()) or path.resolve().is_relative_to(hidden):
            raise missing_pieces({"file rules": f"the state folder lies in {path}, which runs read. Move it elsewhere"})
    return [*sorted(paths), *([compilers.HERE] if confinement.kernels else ())]


def _weak_rules(failed: dict[str, str], known: int) -> dict[str, str]:
    """What this kernel's Landlock, version `known`, is too old for."""
    if "file rules" in failed:
        return dict.fromkeys(_RULES, failed["file rules"])
    needs = {
        "file rules": landlock.TRUNCATE_VERSION,
        "TCP rules": landlock.TCP_VERSION,
        "signal and socket scope": landlock.SCOPE_VERSION,
    }
    return {name: f"Landlock {known} is older than {least}" for name, least in needs.items() if known < least}
