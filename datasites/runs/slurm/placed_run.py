"""One run on the cluster, seen from the datasite: asked for, given a node, heard, ended, and let go.

The words of the two sides are in `datasites.runs.slurm.step`. What `srun` itself says goes to the hospital's log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from datasites.runs.processes.device_looks import LOOKED
from datasites.runs.processes.job import Job
from datasites.runs.processes.launcher import NO_NODE, NOT_PLACED
from datasites.runs.processes.progress_pipe import DONE, READY
from datasites.runs.processes.runner import GO
from datasites.runs.processes.runner_words import NO_RESULT, NOT_STARTED, heard, too_slow
from datasites.runs.slurm import step
from datasites.runs.slurm.srun import STEP, Slurm
from policies import __version__
from policies.errors import ConfigError, RunCancelled, RunFailed
from policies.untrusted_text import shown

log = logging.getLogger(__name__)
SILENT_SECONDS = step.SILENT_SECONDS
_LOOK_SECONDS = 0.2
END_SECONDS = 10.0  # so long a step may take to end its run, and `srun` to end after its step
_KEPT_LINES, _MAX_LINE_BYTES = 6, 2048


class PlacedRun:
    """One run's step, from asking for a node to the end of its job.

    Attributes:
        waited_seconds: How long it waited for its node.
    """

    def __init__(self, slurm: Slurm, log_file: Path, *, program: str = STEP) -> None:
        """Asks for nothing yet.

        Args:
            slurm: The cluster.
            log_file: The hospital's log of runs.
            program: Python of the step; tests bring one whose runs do something else than training.
        """
        self._slurm, self._log_file, self._program = slurm, log_file, program
        self._name = slurm.new_name()
        self._srun: subprocess.Popen[bytes] | None = None
        self._complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        self._complaining: threading.Thread | None = None
        self._over, self._sending = threading.Event(), threading.Lock()
        self._pending, self._job_id, self._peak_mb, self._ended = b"", 0, 0, False
        self.waited_seconds = 0.0

    @property
    def name(self) -> str:
        """Its job's name."""
        return self._name

    @property
    def known_as(self) -> dict[str, int]:
        """Its job's number in Slurm, once it has a node."""
        return {"slurm_job": self._job_id}

    def peak_memory_mb(self) -> int:
        """Most memory that its first process held, as the step has told so far, in MB."""
        return self._peak_mb

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
        """Waits for a node, gives the run its job there, and returns when its result is written and it has ended.

        The job keeps its node after that, without a process of the run, until `release`. Whatever this raises, the run
        is told to end, and ends by itself where it cannot be told.

        Args:
            job: What it is to do.
            begin: Called when the run is closed in and prepared on its node, and has read no picture yet; it works once
                this has returned.
            timeout_seconds: How long it may take to become ready on its node, and again to do its work.
            cancelled: Asked again and again.
            progress: Told the share of the work that is done.
            told: Told each line of the traceback of a rehearsal that fails; a run tells none.

        Raises:
            RunFailed: It got no node, could not be started there, ended without a result, or took too long.
            NotRepeatable, OutOfMemory: The node's device is unfit for the run; `begin` was not called.
            SandboxMissing: It could not be closed in there.
            RunCancelled: `cancelled()` became true.
        """
        try:
            self._ask_for_node(len(job.confinement.gpus), timeout_seconds)
            self._await_node(cancelled)
            threading.Thread(target=self._beat, daemon=True).start()
            self._send(job.to_line())
            if not self._watch(READY, timeout_seconds, cancelled, lambda share: None, told):
                raise RunFailed(NOT_STARTED if self._ended else NOT_PLACED, private=self._why("before it was ready"))
            begin()
            self._send(GO)
            if not self._watch(DONE, timeout_seconds, cancelled, progress, told):
                raise RunFailed(NO_RESULT, private=self._why("before it was done"))
        finally:
            self._end_run()

    def release(self) -> None:
        """Lets the job end, and waits until it has."""
        self._over.set()
        if (srun := self._srun) is None:
            return
        if srun.stdin is not None:
            with self._sending, contextlib.suppress(OSError):
                srun.stdin.close()
        try:
            srun.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """Ends the job at once, whether it waits or runs. What Slurm does not hear, the step notices by the silence."""
        self._over.set()
        if (srun := self._srun) is None:
            return
        srun.terminate()
        try:
            srun.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            srun.kill()
            srun.wait()
        if srun.returncode and (self._job_id or srun.returncode < 0):  # else Slurm has refused it, or knows of the end
            with contextlib.suppress(ConfigError):
                self._slurm.cancel(self._name)

    def _ask_for_node(self, gpus: int, timeout_seconds: float) -> None:
        try:
            asked = self._slurm.step(
                self._name, gpus=gpus, minutes=self._slurm.minutes(timeout_seconds), program=self._program
            )
            self._srun = subprocess.Popen(
                asked,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._slurm.environment(),
                cwd="/",
                bufsize=0,
                start_new_session=True,
                umask=0o077,
            )
        except (OSError, ConfigError) as error:
            told = f"{error.public} {error.private}" if isinstance(error, ConfigError) else repr(error)
            raise RunFailed(NOT_PLACED, private=told) from error
        self._complaining = threading.Thread(target=self._keep_complaints, args=(self._srun,), daemon=True)
        self._complaining.start()

    def _await_node(self, cancelled: Callable[[], bool]) -> None:
        """Waits until the step says that it has its node."""
        begun, most = time.monotonic(), 60.0 * self._slurm.settings.slurm_wait_minutes
        refused = RunFailed(NO_NODE, private=f"Slurm had no node for it in {most / 60:g} minutes")
        for line in self._lines(cancelled, most, refused, silent_seconds=most):
            if line.startswith(step.NODE):
                about = json.loads(line.removeprefix(step.NODE))
                if about["version"] != __version__:
                    raise RunFailed(
                        NOT_PLACED,
                        private=f"the node has release {about['version']}, and the datasite {__version__}: both must "
                        "see the same program",
                    )
                self._job_id = int(about["job"])
                self.waited_seconds = time.monotonic() - begun
                log.info("a run has a node of Slurm's, as job %d, after %.1f s", self._job_id, self.waited_seconds)
                return
        raise RunFailed(NOT_PLACED, private=self._why("before it had a node"))

    def _watch(
        self,
        awaited: str,
        timeout_seconds: float,
        cancelled: Callable[[], bool],
        progress: Callable[[float], None],
        told: Callable[[str], None],
    ) -> bool:
        """Hears the run until it says `awaited` or has ended; returns whether it said it."""
        for line in self._lines(cancelled, timeout_seconds, too_slow(awaited, timeout_seconds)):
            text = line.removeprefix(step.OF_RUN)
            own = line.startswith(step.OF_RUN) and not text.startswith(LOOKED)  # each run looks at its device itself
            if own and heard(text, awaited, progress, told) == awaited:
                return True
        return False

    def _lines(
        self,
        cancelled: Callable[[], bool],
        timeout_seconds: float,
        too_late: RunFailed,
        *,
        silent_seconds: float | None = None,
    ) -> Iterator[str]:
        """The step's lines, until there are no more, it has ended its run, or it is silent for too long.

        Time in which this process was stopped does not count as the step's silence.
        """
        if (srun := self._srun) is None or srun.stdout is None:
            return
        begun = last = time.monotonic()
        silent, bearable = 0.0, SILENT_SECONDS if silent_seconds is None else silent_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(srun.stdout, selectors.EVENT_READ)
            while not self._ended:
                if cancelled():
                    raise RunCancelled("The run was cancelled; nothing left the hospital.")
                now = time.monotonic()
                silent, last = silent + min(now - last, step.LOOK_SECONDS), now
                if now - begun > timeout_seconds:
                    raise too_late
                if silent > bearable:
                    self._complaints.append(f"nothing was heard of the node for {bearable:g} seconds")
                    return
                while b"\n" in self._pending:
                    line, _, self._pending = self._pending.partition(b"\n")
                    silent, text = 0.0, line[:_MAX_LINE_BYTES].decode("ascii", "replace")
                    if text.startswith(step.ALIVE):
                        with contextlib.suppress(ValueError):
                            self._peak_mb = int(text.removeprefix(step.ALIVE))
                    elif text == step.ENDED:
                        self._ended = True
                        return
                    else:
                        yield text
                if selector.select(timeout=_LOOK_SECONDS):
                    chunk = os.read(srun.stdout.fileno(), 1 << 16)
                    if not chunk:
                        return
                    self._pending = (self._pending + chunk)[-(1 << 20) :]

    def _send(self, content: bytes) -> None:
        """Sends it while the step listens; where it does not, the next line that should come does not either."""
        with self._sending, contextlib.suppress(OSError, ValueError):
            stdin = self._srun.stdin if self._srun is not None else None
            while content and stdin is not None:
                content = content[stdin.write(content) or 0 :]

    def _beat(self) -> None:
        while not self._over.wait(step.BEAT_SECONDS):
            self._send(step.HERE)

    def _end_run(self) -> None:
        """Has the step end the run, and waits until it has; a job without a node, or that does not answer, is ended."""
        if not self._job_id:
            self.kill()
            return
        if not self._ended:
            self._send(step.END)
            with contextlib.suppress(RunFailed):
                for _ in self._lines(lambda: False, END_SECONDS, RunFailed(NO_RESULT)):
                    pass
        if not self._ended:
            self.kill()

    def _keep_complaints(self, srun: subprocess.Popen[bytes]) -> None:
        """Keeps what `srun` and the step write to standard error, in the log and the last lines here."""
        if srun.stderr is None:
            return
        descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with srun.stderr, os.fdopen(descriptor, "wb", buffering=0) as kept, contextlib.suppress(OSError, ValueError):
            for line in srun.stderr:
                kept.write(line)
                self._complaints.append(shown(line[:_MAX_LINE_BYTES].decode("utf-8", "replace").strip()))

    def _why(self, when: str) -> str:
        """Why it ended, for the hospital: what Slurm said, as far as that has come."""
        if self._srun is not None and self._complaining is not None and not self._ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._srun.wait(timeout=step.LOOK_SECONDS)
                self._complaining.join(timeout=step.LOOK_SECONDS)
        said = "; ".join(self._complaints)
        return f"the run ended on the cluster {when}" + (f": {said}" if said else "")

    def _close(self) -> None:
        for stream in (self._srun.stdin, self._srun.stdout) if self._srun is not None else ():
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
