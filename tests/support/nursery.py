"""What tests fork from a process that has imported everything, instead of importing anew.

A datasite imports PySyft for three seconds, its fork server torch for four, and a researcher's command both: with some
fifty datasites a third of all that `make test` computed. What is forked here is the same code in a process, a session,
files and an environment of its own. Datasites that a test starts by `Hospital.start`, by a launcher or by a command
still import everything themselves, as at a hospital.

The nurseries, one for each kind, are shared by all test processes of a run, and end when none of these is left.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[2]
DATASITES, FORK_SERVERS, RESEARCHERS = "datasites", "fork-servers", "researchers"
RUN = "NURSERIES_OF_RUN"
MAX_REQUEST_BYTES = 1 << 17
REAP = b"R"
_NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # pyarrow's memory starts one as it is imported
# A line to each nursery that this process asked: it stays until the last one is closed.
_kept: list[socket.socket] = []


class Born:
    """A process that a nursery forked, as `subprocess.Popen` shows one: unreaped until its end was asked for."""

    def __init__(self, line: socket.socket, pid: int, stdin: IO[bytes] | None, stdout: IO[bytes] | None) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None
        self._line, self._handle = line, os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit status, as `Popen.poll`."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status once it has ended, as `Popen.wait`."""
        status = self._look(None if timeout is None else timeout * 1000)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def _look(self, milliseconds: float | None) -> int | None:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._handle, select.POLLIN)
            if ended.poll(milliseconds):
                self._line.sendall(REAP)
                self.returncode = os.waitstatus_to_exitcode(int(self._line.recv(32)))
                self._line.close()
                os.close(self._handle)
        return self.returncode


def born_datasite(state: Path, environment: Mapping[str, str], *, program: str | None = None) -> Born:
    """A datasite of that state folder, as `python -m datasites serve --stop_with_stdin` runs it, or `python -c`."""
    _nursery(FORK_SERVERS, "1")  # stays for the next datasite too, when this one has ended
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    served = ["serve", "--stop_with_stdin", "--state", str(state)]
    arguments = ["-c", program, str(state)] if program else ["-m", "datasites", *served]
    told = {
        "arguments": arguments,
        "environment": {**environment, RUN: _run()},
        "folder": str(Path.cwd()),
        "umask": 0o022,
    }
    try:
        line, pid = _born(DATASITES, environment, told, [stdin, stdout, 2])
    finally:
        os.close(stdin)
        os.close(stdout)
    return Born(line, pid, os.fdopen(our_stdin, "wb"), os.fdopen(our_stdout, "rb"))


def born_training(program: str, environment: Mapping[str, str]) -> Born:
    """A program of Python, as `python -c` runs it, in a process that has imported what training needs.

    Never forked from pytest's own process: there an earlier test may have left threads that no fork survives.
    """
    return _born_python(FORK_SERVERS, ["-c", program], environment, [2, 2])


def born_researcher(arguments: list[str], environment: Mapping[str, str], *, out: int = 1, errors: int = 2) -> Born:
    """What `python ARGUMENTS` runs, in a process that has imported what a researcher's commands need.

    Args:
        arguments: `-m MODULE ...` or `-c PROGRAM ...`.
        environment: The process's own.
        out: Where its standard output goes.
        errors: Where its standard error goes.
    """
    return _born_python(RESEARCHERS, arguments, environment, [out, errors])


def _born_python(kind: str, arguments: list[str], environment: Mapping[str, str], files: list[int]) -> Born:
    told = {"arguments": arguments, "environment": dict(environment), "folder": str(Path.cwd()), "umask": 0o022}
    with Path(os.devnull).open("rb") as nothing:
        line, pid = _born(kind, environment, told, [nothing.fileno(), *files])
    return Born(line, pid, None, None)


def born_fork_server(command: list[str], **given: Any) -> Born:
    """A fork server, for what `datasites.runs.processes.process` gives to `Popen` to start one."""
    (passed,) = given["pass_fds"]
    environment = given["env"]
    told = {
        "arguments": command[1:],
        "environment": environment,
        "folder": str(given["cwd"]),
        "umask": given["umask"],
        "descriptor": passed,
    }
    with Path(os.devnull).open("rb") as nothing:
        files = [nothing.fileno(), given["stdout"], given["stderr"], passed]
        return Born(*_born(FORK_SERVERS, environment, told, files), None, None)


@contextmanager
def fork_servers_are_born() -> Iterator[None]:
    """Lets every fork server that this process starts meanwhile be forked from a nursery."""
    from datasites.runs.processes import process

    real = process.subprocess  # type: ignore[attr-defined]
    process.subprocess = SimpleNamespace(Popen=born_fork_server, DEVNULL=subprocess.DEVNULL)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        process.subprocess = real  # type: ignore[attr-defined]


def _born(
    kind: str, environment: Mapping[str, str], told: dict[str, Any], files: list[int]
) -> tuple[socket.socket, int]:
    """The line to the nursery over which a new process's end is told, and its process id."""
    address = _nursery(kind, environment.get("OMP_NUM_THREADS", "1"))
    line = _connected(address)
    socket.send_fds(line, [json.dumps(told).encode()], files)
    answer = line.recv(32)
    assert answer, f"the nursery of {kind} has ended: {address.with_suffix('.log').read_text()}"
    return line, int(answer)


def _connected(address: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        line.connect(str(address))
    except OSError:
        line.close()
        raise
    return line


@cache
def _nursery(kind: str, threads: str) -> Path:
    """Where the nursery of a kind listens; it is started where none does, and stays as long as a process that asked.

    What was imported holds the number of threads, so each number has a nursery of its own.
    """
    address = _folder() / f"{kind}-{threads}"
    with address.with_suffix(".lock").open("w") as lock, address.with_suffix(".log").open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            line = _connected(address)
        except OSError:
            address.unlink(missing_ok=True)
            threads_of = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
            path = f"{PROJECT}:{PROJECT / 'tests'}"
            environment = {**os.environ, **threads_of, **_NO_THREAD, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": path}
            environment.pop("TRITON_INTERPRET", None)  # for this process's own tests: kernels are compiled there
            said, says = os.pipe()
            with Path(os.devnull).open("rb") as nothing, os.fdopen(said, "rb") as ready:
                os.posix_spawn(  # it outlives whoever started it, who need not wait for it
                    sys.executable,
                    [sys.executable, "-m", "support.nursery_process", kind, str(address)],
                    environment,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, file, number)
                        for number, file in enumerate((nothing.fileno(), says, log.fileno()))
                    ],
                    setsid=True,
                )
                os.close(says)
                assert ready.readline(), address.with_suffix(".log").read_text()
            line = _connected(address)
    _kept.append(line)
    atexit.register(line.close)
    return address


@cache
def _run() -> str:
    """Which run of the tests this is, in whichever of its processes."""
    return os.environ.get(RUN) or os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()} {time.time()}"


@cache
def _folder() -> Path:
    """A folder of this run of the tests: of all processes of xdist, or of this one."""
    name = hashlib.sha256(f"{PROJECT} {_run()}".encode()).hexdigest()[:12]
    made = Path(tempfile.gettempdir()) / f"nurseries-{name}"
    made.mkdir(mode=0o700, exist_ok=True)
    assert made.stat().st_uid == os.geteuid(), made
    return made
