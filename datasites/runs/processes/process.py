"""Runner processes, seen from the datasite: one for each run, given one job, told to go, watched, ended with its group.

They are forked from a fork server that imported what training needs, so that a round does not pay for that. Neither
gets a key, a password or an address of the datasite, and what a run prints goes nowhere.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from datasites.files.log_file import MAX_LOG_BYTES, cut
from datasites.runs.processes.device_looks import LOOKED, DeviceLooks
from datasites.runs.processes.fork_server import CONTROL, END, PID, START, SUMS
from datasites.runs.processes.job import Job
from datasites.runs.processes.progress_pipe import DONE, READY
from datasites.runs.processes.runner import GO
from datasites.runs.processes.runner_words import NO_RESULT, NOT_STARTED, heard, note_end, too_slow
from datasites.runs.processes.sums import SumsProcess
from datasites.runs.sandbox.confinement import PROJECT
from datasites.runs.sandbox.limits import peak_memory_mb
from policies.errors import RunCancelled, RunFailed

# What the fork server's process runs, once it has its orders' socket.
PROGRAM = "from datasites.runs.processes.fork_server import main; main()"
_MAX_LINE_BYTES = 1024


class ForkServer:
    """The process that runners are forked from; started when it is first needed, and again if it died."""

    elsewhere = False

    def __init__(self, *, log: Path, threads: int, program: str = PROGRAM, max_log_bytes: int = MAX_LOG_BYTES) -> None:
        """Starts nothing yet.

        Args:
            log: The hospital's log of runs.
            threads: CPU threads of one run.
            program: Python of the fork server's process; tests bring one whose runs do something else than training.
            max_log_bytes: Size beyond which the log loses its earlier lines, before the next run.
        """
        self._log, self._threads, self._program, self._max_log_bytes = log, threads, program, max_log_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._looks = DeviceLooks()
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Starts the fork server unless it runs. A failure is left to the first run, which reports it."""
        with self._lock, contextlib.suppress(OSError, EOFError):
            self._running()

    def start(self, *, group: int | None = None) -> RunnerProcess:
        """A new runner, waiting for its job.

        Args:
            group: An open `cgroup.procs` of the control group that it enters, if there is one.

        Raises:
            RunFailed: None could be started.
        """
        cut(self._log, self._max_log_bytes)
        job_read, job_write = os.pipe()
        progress_read, progress_write = os.pipe()
        try:
            with self._lock:
                control = self._running()
                pipes = [job_read, progress_write]
                socket.send_fds(control, [START], pipes if group is None else [*pipes, group])
                pid = self._answer(control)
                if pid == 0:
                    raise ProcessLookupError("the fork server's log says why")
                handle, looks = os.pidfd_open(pid), self._looks
        except (OSError, EOFError) as error:
            os.close(job_write)
            os.close(progress_read)
            self.stop()
            raise RunFailed(NOT_STARTED, private=repr(error)) from error
        finally:
            os.close(job_read)
            os.close(progress_write)
        return RunnerProcess(pid, handle, jobs=job_write, progress=progress_read, end=self._end, looks=looks)

    def compute_sums(self) -> SumsProcess:
        """A new process that computes sums.

        Raises:
            RunFailed: None could be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                control = self._running()
                socket.send_fds(control, [SUMS], [theirs.fileno()])
                return SumsProcess(self._answer(control), ours.detach(), end=self._end)
        except (OSError, EOFError) as error:
            ours.close()
            self.stop()
            raise RunFailed(NOT_STARTED, private=repr(error)) from error

    def stop(self) -> None:
        """Ends the fork server, also while it is still importing. Runners end by themselves when their pipes close."""
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
                [sys.executable, "-c", _TAKE_CONTROL.format(theirs.fileno(), CONTROL) + self._program],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self._log.parent,
                env=clean_environment(self._threads),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(descriptor)
            theirs.close()
        self._answer(ours)
        self._control, self._looks = ours, DeviceLooks()  # another process: what was found in the last one is no more
        return ours

    def _end(self, pid: int, handle: int) -> None:
        """Kills a runner with all it started: itself at once, the rest through the fork server, while that lives."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        with self._lock:
            if self._control is not None:
                with contextlib.suppress(OSError, EOFError):
                    self._control.sendall(END + PID.pack(pid))
                    note_end(self._answer(self._control))

    @staticmethod
    def _answer(control: socket.socket) -> int:
        content = b""
        while len(content) < PID.size:
            chunk = control.recv(PID.size - len(content))
            if not chunk:
                raise EOFError("the fork server ended")
            content += chunk
        return int(PID.unpack(content)[0])


class RunnerProcess:
    """One runner, from its birth to the end of its process group."""

    waited_seconds = 0.0  # it has its place from the beginning

    def __init__(
        self,
        pid: int,
        handle: int,
        *,
        jobs: int,
        progress: int,
        end: Callable[[int, int], None],
        looks: DeviceLooks,
    ) -> None:
        self.pid = pid
        self._handle, self._jobs, self._progress, self._end, self._looks = handle, jobs, progress, end, looks

    @property
    def known_as(self) -> dict[str, int]:
        return {"pid": self.pid}

    def peak_memory_mb(self) -> int:
        """Most memory that it held so far, in MB; 0 where the system does not tell."""
        return peak_memory_mb(self.pid)

    def release(self) -> None:
        """Nothing: all that it took ended with it."""

    def execute(
        self,
        job: Job,
        *,
        begin: Callable[[], None],
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Gives the runner its job and returns when the result is written and all its processes are gone.

        Args:
            job: What it is to do.
            begin: Called when the runner is closed in and prepared, and has read no picture yet; it works once this has
                returned.
            timeout_seconds: How long it may take to become ready, and again to do its work.
            cancelled: Asked again and again.
            progress: Told the share of the work that is done.
            told: Told each line of the traceback of a rehearsal that fails; a run tells none.

        Raises:
            RunFailed: The process could not be started, or ended without a result, or took too long.
            NotRepeatable, OutOfMemory: The device is unfit for the run; `begin` was not called.
            SandboxMissing: It could not be closed in.
            RunCancelled: `cancelled()` became true.
        """
        job, looked = self._looks.told(job), list[str]()
        try:
            self._order(job.to_line(), NOT_STARTED)
            if not self._watch(READY, timeout_seconds, cancelled, lambda share: None, told, looked.append):
                raise RunFailed(NOT_STARTED, private="the runner ended before it was ready")
            begin()
            self._order(GO, NO_RESULT)
            if not self._watch(DONE, timeout_seconds, cancelled, progress, told):
                raise RunFailed(NO_RESULT, private="the runner ended before it was done")
            self._looks.keep(job, *looked[:1])
        except BaseException:
            self._looks.forget(job)
            raise
        finally:
            self._end(self.pid, self._handle)
            os.close(self._jobs)
            os.close(self._progress)

    def _order(self, content: bytes, refusal: str) -> None:
        try:
            while content:
                content = content[os.write(self._jobs, content) :]
        except BrokenPipeError as error:
            raise RunFailed(refusal, private=str(error)) from error

    def _watch(
        self,
        awaited: str,
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
        told: Callable[[str], None],
        looked: Callable[[str], None] = lambda found: None,
    ) -> bool:
        """Reads shares between 0 and 1 until the runner says `awaited` or ends; returns whether it said it."""
        pending, deadline = b"", time.monotonic() + timeout_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._progress, selectors.EVENT_READ)
            while True:
                if cancelled():
                    raise RunCancelled("The run was cancelled; nothing left the hospital.")
                if time.monotonic() > deadline:
                    raise too_slow(awaited, timeout_seconds)
                if not selector.select(timeout=0.2):
                    continue
                chunk = os.read(self._progress, 4096)
                if not chunk:
                    return False
                *lines, pending = (pending + chunk).split(b"\n")
                pending = pending[:_MAX_LINE_BYTES]
                for line in lines:
                    text = line[:_MAX_LINE_BYTES].decode("ascii", "replace")
                    if text.startswith(LOOKED):
                        looked(text.removeprefix(LOOKED))
                    elif heard(text, awaited, progress, told) == awaited:
                        return True


_TAKE_CONTROL = "import os; os.dup2({0}, {1})\n"


def clean_environment(threads: int) -> dict[str, str]:
    """All that a process which becomes runs is told of the datasite's environment, and how many threads a run has."""
    names = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # Several hospitals, or other programs, share the machine: a thread that waits sleeps instead of spinning.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Arrays that a run makes anew lie in huge pages, where the kernel gives them to who asks: 512 faults less each.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
