"""A trial of one GPU: a process is closed in as a run is, asks the driver for it, and says what it was told.

Where the driver shows it none there, it is asked again in further processes, each with one piece of the sandbox left
out, so that a person reads which piece hides it. None of them has a picture, a key or a job, and none can be given one:
what is left out is said to this program alone, which runs do not have.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datasites.runs.gpus import Gpu
from datasites.runs.sandbox import compilers, cuda_driver, gpu_rules, kernel, namespaces
from datasites.runs.sandbox.confinement import OWN_LIST, PROJECT, Confinement, draw_uid, steps
from datasites.runs.sandbox.cuda_driver import LIBRARY, DriversAnswer
from datasites.runs.sandbox.limits import RunLimits

ENVIRONMENT = "environment"
# What can be left out. Without `no new privileges` there would be no file rules and no filter either.
PIECES = (
    *(ENVIRONMENT, *namespaces.KINDS, "resource limits", "own account", "no capabilities", "closed to debuggers"),
    *("file rules", "system call filter"),
)
_PROGRAM = "from datasites.runs.sandbox.gpu_trial import main; main()"
_SECONDS = 120  # a driver that is woken up takes some on a machine with many GPUs
_MOST_SHUT = 6


@dataclass(frozen=True)
class Tried:
    """What one process was told.

    Attributes:
        answer: Of the driver.
        failed: Pieces that could not be had there: name → why.
        shut: Files and calls that the driver is known to want, and the process was refused: what → why.
    """

    answer: DriversAnswer
    failed: dict[str, str]
    shut: dict[str, str]


@dataclass(frozen=True)
class GpuTrial:
    """What a run would see of a GPU.

    Attributes:
        gpu: Which.
        inside: What a process closed in as a run is told.
        outside: What one is told around which no piece is; None where it need not be asked.
        hiding: Pieces without each of which it is seen; or else each of which hides it also alone.
        together: Whether it is these others, that hide it each alone.
    """

    gpu: Gpu
    inside: Tried
    outside: Tried | None = None
    hiding: tuple[str, ...] = ()
    together: bool = False

    @property
    def seen(self) -> bool:
        """Whether a run sees it."""
        return self.inside.answer.gpus > 0

    @property
    def told(self) -> str:
        """What hides it from runs, for the hospital's admin: with the driver's words, and what it could not open."""
        said = f"the driver says: {self.inside.answer.told}"
        if self.outside is not None and not self.outside.answer.gpus:
            return f"no process sees it, closed in or not: {said}"
        if not self.hiding:
            cause = "several pieces of the sandbox hide it, none of them alone"
        elif self.together:
            cause = f"each of these pieces of the sandbox hides it: {', '.join(self.hiding)}"
        else:
            cause = f"it is hidden by the sandbox's {' or '.join(self.hiding)}"
        views = (OWN_LIST, *namespaces.KINDS)
        lacking = [f"no {name} ({why})" for name, why in self.inside.failed.items() if name in views]
        shut = [f"{what} ({why})" for what, why in list(self.inside.shut.items())[:_MOST_SHUT]]
        more = f" and {len(self.inside.shut) - _MOST_SHUT} more" if len(self.inside.shut) > _MOST_SHUT else ""
        refused = [f"refused there: {', '.join(shut)}{more}"] if shut else []
        return "; ".join((cause, said, *lacking, *refused))


def try_gpu(gpu: Gpu, limits: RunLimits, hidden: Path, *, library: str = LIBRARY) -> GpuTrial:
    """Tries a GPU as a run would have it, and where it is not seen, finds what hides it.

    Args:
        gpu: As the driver lists it.
        limits: Of a run.
        hidden: The datasite's state folder.
        library: The driver's.
    """

    def tried(without: Iterable[str] = ()) -> Tried:
        return _try_in_a_process(gpu, limits, hidden, library, without)

    inside = tried()
    if inside.answer.gpus:
        return GpuTrial(gpu, inside)
    outside = tried(PIECES)
    if not outside.answer.gpus:
        return GpuTrial(gpu, inside, outside)
    hiding = tuple(piece for piece in PIECES if tried([piece]).answer.gpus)
    if hiding:
        return GpuTrial(gpu, inside, outside, hiding)
    alone = tuple(piece for piece in PIECES if not tried(set(PIECES) - {piece}).answer.gpus)
    return GpuTrial(gpu, inside, outside, alone, together=True)


def main() -> None:
    """The program of one process: asks as standard input says, and writes what it was told to standard output."""
    asked = json.loads(sys.stdin.readline())
    without = frozenset(map(str, asked["without"]))
    kernel.libc()
    missing = namespaces.separate([kind for kind in namespaces.KINDS if kind not in without])
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) != 0)
    gpu = Gpu(**asked["gpu"])
    confinement = Confinement(RunLimits(**asked["limits"]), False, Path(asked["hidden"]), asked["uid"], (gpu,))
    cuda_driver.load(asked["library"])
    missing |= {kind: "left out" for kind in (namespaces.PROCESS,) if kind in without}
    tried = _closed_in(confinement, missing, without, asked["library"])
    sys.stdout.write(json.dumps({**vars(tried), "answer": vars(tried.answer)}))
    sys.stdout.flush()
    os._exit(0)


def _closed_in(confinement: Confinement, missing: dict[str, str], without: frozenset[str], library: str) -> Tried:
    """Closes this process in but for what is left out, and asks."""
    failed = dict(missing)
    wanted = {path: writes for path, writes in gpu_rules.opened(confinement.gpus).items() if os.access(path, os.R_OK)}
    if ENVIRONMENT not in without:
        compilers.forget_environment(confinement.gpus, compiles=False)
    for name, step in steps(confinement, missing):
        if name in without:
            continue
        try:
            step()
        except OSError as error:
            failed[name] = str(error)
    answer = cuda_driver.ask(library)
    shut = {} if answer.gpus else {**_shut_files(wanted), **_refused_calls()}
    return Tried(answer, failed, shut)


def _shut_files(wanted: dict[Path, bool]) -> dict[str, str]:
    shut = {}
    for path, writes in wanted.items():
        try:
            os.close(os.open(path, (os.O_RDWR if writes else os.O_RDONLY) | os.O_CLOEXEC))
        except OSError as error:
            shut[str(path)] = errno.errorcode.get(error.errno or 0, str(error))
    return shut


def _refused_calls() -> dict[str, str]:
    """Calls that the driver makes to start, made here in the same way: a name for a thread, a socket that listens."""
    shut = {}
    thread = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
    try:
        os.close(os.open(thread, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        shut["names of threads"] = errno.errorcode.get(error.errno or 0, str(error))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(b"\0wanwu-trial")
            listening.listen(1)
    except OSError as error:
        shut["a socket that listens"] = errno.errorcode.get(error.errno or 0, str(error))
    try:
        os.close(os.memfd_create("trial"))
    except OSError as error:
        shut["memory of a file"] = errno.errorcode.get(error.errno or 0, str(error))
    return shut


def _try_in_a_process(gpu: Gpu, limits: RunLimits, hidden: Path, library: str, without: Iterable[str]) -> Tried:
    asked = {
        "gpu": vars(gpu),
        "limits": vars(limits),
        "hidden": str(hidden),
        "uid": draw_uid(),
        "library": library,
        "without": sorted(without),
    }
    names = ("PATH", "LD_LIBRARY_PATH", "LANG")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=json.dumps(asked) + "\n",
            env={"PYTHONPATH": str(PROJECT), **{name: os.environ[name] for name in names if name in os.environ}},
            cwd="/",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        values = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        return Tried(DriversAnswer(0, -1, f"the trial did not end ({type(error).__name__})"), {}, {})
    except ValueError:
        last = "".join(done.stderr.strip().splitlines()[-1:])
        return Tried(DriversAnswer(0, -1, f"the trial ended without an answer ({last or 'killed'})"), {}, {})
    return Tried(DriversAnswer(**values["answer"]), values["failed"], values["shut"])
