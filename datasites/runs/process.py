"""Runner processes, seen from the datasite: one for each run, given one job, watched, and ended with its group.

They are born in a nursery that imported what training needs, so that a round does not pay for that. Neither gets a key,
a password or an address of the datasite; their output goes to the hospital's log.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from datasites.runs.nursery import CONTROL, END, PID, START, end_group
from datasites.runs.runner import DONE
from policies.errors import RunCancelled, RunFailed

_PROJECT = Path(__file__).resolve().parents[2]
_NOT_STARTED = "The run could not be started at the hospital; nothing was spent. Ask for the round again."


@dataclass(frozen=True)
class Job:
    """What a runner is told: paths and the plan, all of it already checked.

    Attributes:
        plan: The approved plan as JSON.
        round: Round index, from 0.
        store: Folder of the picture store.
        weights: File with the round's global weights, safetensors.
        result: File to write the client update to, safetensors.
    """

    plan: str
    round: int
    store: str
    weights: str
    result: str


class Nursery:
    """The process that runners are forked from; started when it is first needed, and again if it died."""

    def __init__(self, *, log: Path, threads: int) -> None:
        self._log, self._threads = log, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Starts the nursery unless it runs. A failure is left to the first run, which reports it."""
        with self._lock, contextlib.suppress(OSError, EOFError):
            self._running()

    def start(self) -> RunnerProcess:
        """A new runner, waiting for its job.

        Raises:
            RunFailed: None could be started.
        """
        job_read, job_write = os.pipe()
        progress_read, progress_write = os.pipe()
        try:
            with self._lock:
                control = self._running()
                socket.send_fds(control, [START], [job_read, progress_write])
                pid = self._answer(control)
        except (OSError, EOFError) as error:
            os.close(job_write)
            os.close(progress_read)
            self.stop()
            raise RunFailed(_NOT_STARTED, private=repr(error)) from error
        finally:
            os.close(job_read)
            os.close(progress_write)
        return RunnerProcess(pid, jobs=job_write, progress=progress_read, end=self._end)

    def stop(self) -> None:
        """Ends the nursery, also while it is still importing. Runners end by themselves when their pipes close."""
        if self._process is not None:
            self._process.kill()
        with self._lock:
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None

    def _running(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        ours, theirs = socket.socketpair()
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(inherited=theirs.fileno(), control=CONTROL)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self._log.parent,
                env=_clean_environment(self._threads),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(descriptor)
            theirs.close()
        self._answer(ours)
        self._control = ours
        return ours

    def _end(self, pid: int) -> None:
        """Kills a runner's group; through the nursery, which is its parent, as long as that lives."""
        with self._lock:
            if self._control is not None:
                with contextlib.suppress(OSError, EOFError):
                    self._control.sendall(END + PID.pack(pid))
                    self._answer(self._control)
                    return
            end_group(pid)

    @staticmethod
    def _answer(control: socket.socket) -> int:
        content = b""
        while len(content) < PID.size:
            chunk = control.recv(PID.size - len(content))
            if not chunk:
                raise EOFError("the nursery ended")
            content += chunk
        return int(PID.unpack(content)[0])


class RunnerProcess:
    """One runner, from its birth to the end of its process group."""

    def __init__(self, pid: int, *, jobs: int, progress: int, end: Callable[[int], None]) -> None:
        self.pid = pid
        self._jobs, self._progress, self._end = jobs, progress, end

    def execute(
        self,
        job: Job,
        *,
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
    ) -> None:
        """Gives the runner its job and returns when the result is written and its process group is gone.

        Raises:
            RunFailed: The process ended without a result, or took too long.
            RunCancelled: `cancelled()` became true.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            os.write(self._jobs, json.dumps(asdict(job)).encode() + b"\n")
            done = self._watch(deadline, timeout_seconds, cancelled, progress)
        except BrokenPipeError as error:
            raise RunFailed(_NOT_STARTED, private=str(error)) from error
        finally:
            self._end(self.pid)
            os.close(self._jobs)
            os.close(self._progress)
        if not done:
            raise RunFailed(
                "The run ended at the hospital without a result; nothing left it and nothing was spent. Ask for the "
                "round again, or ask the hospital to look at its log.",
                private="the runner ended before it was done",
            )

    def _watch(
        self,
        deadline: float,
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
    ) -> bool:
        """Reads shares between 0 and 1 until the runner says `DONE` or closes its output; returns whether it did."""
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._progress, selectors.EVENT_READ)
            while True:
                if cancelled():
                    raise RunCancelled("The run was cancelled; nothing left the hospital and nothing was spent.")
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"The round took longer than the plan's timeout of {timeout_seconds:g} seconds; nothing left "
                        "the hospital. Lower steps_per_round or raise run.timeout_seconds."
                    )
                if not selector.select(timeout=0.2):
                    continue
                chunk = os.read(self._progress, 4096)
                if not chunk:
                    return False
                *lines, pending = (pending + chunk).split(b"\n")
                pending = pending[-64:]
                for line in lines:
                    if line == DONE.encode():
                        return True
                    with contextlib.suppress(ValueError):
                        progress(float(line))


_START = "import os; os.dup2({inherited}, {control}); from datasites.runs.nursery import main; main()"


def _clean_environment(threads: int) -> dict[str, str]:
    names = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        "PYTHONPATH": str(_PROJECT),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
