"""The program of a run's step on its node: it gives the run a process there, and stands between it and the datasite.

What `srun` carries are lines. From the datasite: a job, then that the run may go on, that the run is to be ended, and
every few seconds that the datasite is still there. To the datasite: that the step has its node, the run's own words,
how much memory it holds, and that it has ended. Nothing else is said: not to Slurm, whose accounting sees a step that
ends well whatever became of the run, and ends when the datasite lets it.

This process opens no picture. The run closes itself in as on the datasite's machine, before it works. It ends with
this process, which ends it when the datasite is silent.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
import traceback
from typing import NoReturn

from datasites.runs.processes import runner
from datasites.runs.processes.fork_server import be_runner, end_group, end_others
from datasites.runs.processes.job import Job
from datasites.runs.processes.progress_pipe import MISSING
from datasites.runs.processes.runner import Preparation
from datasites.runs.sandbox import kernel, namespaces
from datasites.runs.sandbox.limits import peak_memory_mb
from datasites.runs.slurm.node import settled
from policies import __version__
from policies.errors import SandboxMissing

# How lines to the datasite begin; what follows OF_RUN are the run's own words.
NODE, ALIVE, ENDED, OF_RUN = "node ", "alive ", "ended", ":"
# Lines from the datasite, besides the job and the run's own.
END, HERE = b"end\n", b"here\n"
WORDS_IN, WORDS_OUT = 0, 1  # standard input and output
BEAT_SECONDS = 5.0  # how often each side says that it is there
LOOK_SECONDS = 1.0
SILENT_SECONDS = 60.0  # so long the other side may say nothing; time in which this process was stopped does not count
_MAX_LINE_BYTES = 1024


def main(prepare: Preparation = runner.prepare) -> None:
    """Runs one job, as lines on `WORDS_IN` tell it, and waits until the datasite lets the step end.

    Args:
        prepare: What the run does in the sandbox; tests bring their own.
    """
    about = {"job": int(os.environ.get("SLURM_JOB_ID", "0")), "version": __version__}
    _say(NODE + json.dumps(about))
    words = _Words(WORDS_IN)
    line = words.wait()
    if line is None:
        return
    kernel.libc()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    job = Job.from_line(line)
    try:
        job = Job(**{**vars(job), "confinement": settled(job.confinement)})
    except SandboxMissing as error:
        _say(OF_RUN + MISSING + _plain(error.private))
        _Step(words).serve()
        return
    jobs_read, jobs_write = os.pipe()
    progress_read, progress_write = os.pipe()
    born = os.fork()
    if born == 0:
        _give_birth(prepare, jobs_read, progress_write)
    os.close(jobs_read)
    os.close(progress_write)
    # It is read once training is imported; a long one would hold this process up until then.
    threading.Thread(target=_write_if_read, args=(jobs_write, job.to_line()), daemon=True).start()
    _Step(words, born, jobs=jobs_write, progress=progress_read).serve()


class _Words:
    """Lines of a descriptor, as they come."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._pending = descriptor, b""

    def read(self) -> list[bytes] | None:
        """The lines that have come, none if the last is not whole yet; None at the end."""
        chunk = os.read(self.descriptor, 1 << 16)
        if not chunk:
            return None
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        return [line + b"\n" for line in lines]

    def wait(self) -> bytes | None:
        """The first line; None where none comes. Nothing may have been sent behind it."""
        while (lines := self.read()) is not None:
            if lines:
                return lines[0]
        return None


class _Step:
    """The step, once its run has a process or was refused one."""

    def __init__(self, words: _Words, born: int = 0, *, jobs: int = -1, progress: int = -1) -> None:
        self._words, self._born, self._jobs, self._progress = words, born, jobs, progress
        self._of_run = _Words(progress) if born else None
        self._peak_mb = 0

    def serve(self) -> None:
        """Hands lines on until the datasite lets the step end, or has been silent for too long."""
        silent, last, beat = 0.0, time.monotonic(), 0.0
        try:
            while silent < SILENT_SECONDS:
                watched = [WORDS_IN] + ([self._progress] if self._of_run is not None else [])
                ready, _, _ = select.select(watched, [], [], LOOK_SECONDS)
                now = time.monotonic()
                silent += min(now - last, LOOK_SECONDS)
                last = now
                if WORDS_IN in ready:
                    lines = self._words.read()
                    if lines is None:
                        return
                    silent = 0.0 if lines else silent
                    for line in lines:
                        self._obey(line)
                if self._progress in ready and self._of_run is not None:
                    self._hand_on()
                if now - beat >= BEAT_SECONDS:
                    self._tell_memory()
                    beat = now
        finally:
            self._end_run()

    def _obey(self, line: bytes) -> None:
        if line == END:
            self._end_run()
            _say(ENDED)
        elif line != HERE and self._of_run is not None:
            _write_if_read(self._jobs, line)  # where it has ended, that is told when its own pipe closes

    def _hand_on(self) -> None:
        """The run's own words, and how much memory it had held by then; its end, where there are none any more."""
        if not _listened_to():  # nobody takes them at present: they wait where they are
            time.sleep(LOOK_SECONDS)
            return
        lines = self._of_run.read() if self._of_run else None
        if lines is None:
            self._end_run()
            _say(ENDED)
            return
        self._tell_memory()
        for line in lines:
            _say(OF_RUN + line[:_MAX_LINE_BYTES].rstrip(b"\n").decode("ascii", "replace"))

    def _tell_memory(self) -> None:
        if _listened_to():
            self._peak_mb = max([self._peak_mb, *map(peak_memory_mb, _children_of(self._born) if self._born else ())])
            _say(f"{ALIVE}{self._peak_mb}")

    def _end_run(self) -> None:
        """Kills the run and all of it."""
        if not self._born:
            return
        end_group(self._born)
        end_others(set())
        os.close(self._jobs)
        os.close(self._progress)
        self._born, self._of_run = 0, None


def _give_birth(prepare: Preparation, jobs: int, progress: int) -> NoReturn:
    """The process that imports what training needs, forks the run into namespaces of its own, and ends with it."""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, int(signal.SIGKILL))
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, WORDS_IN)
        os.dup2(nowhere, WORDS_OUT)
        runner.import_training()
        missing = namespaces.separate()
        child = os.fork()
        if child == 0:
            be_runner(prepare, jobs, progress, missing)
        os.close(jobs)
        os.close(progress)
        os.waitpid(child, 0)
    except BaseException:  # noqa: BLE001 - it goes to the hospital's log, and this process ends either way
        traceback.print_exc()
    finally:
        os._exit(0)


def _children_of(process: int) -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/{process}/task/{process}/children") as listed:  # noqa: PTH123
        return [int(child) for child in listed.read().split()]
    return []


def _say(text: str) -> None:
    _write_if_read(WORDS_OUT, _plain(text).encode() + b"\n")  # where nobody listens, nobody speaks either: that ends it


def _plain(text: str) -> str:
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)[:_MAX_LINE_BYTES]


def _listened_to() -> bool:
    """Whether a line can be said without waiting."""
    return bool(select.select([], [WORDS_OUT], [], 0)[1])


def _write_if_read(descriptor: int, content: bytes) -> None:
    """Writes all of it, unless nobody can read it any more."""
    with contextlib.suppress(BrokenPipeError):
        while content:
            content = content[os.write(descriptor, content) :]
