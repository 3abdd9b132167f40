"""A nursery's own process: imports all that a kind of process needs, then forks one for each request.

`python -m support.nursery_process KIND ADDRESS` says `ready` once it listens, and ends when nobody holds a line to it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.nursery import DATASITES, FORK_SERVERS, MAX_REQUEST_BYTES, REAP, RESEARCHERS, fork_servers_are_born

# What a datasite imports after it has started PySyft, since PySyft reads who the server is when it is imported.
AFTER_PYSYFT = ("access.accounts", "code_requests.requests", "pages.opening", "pysyft.publish", "researchers_port.port")


def main(kind: str, address: Path) -> None:
    """Forks until the last line is closed, and leaves nothing behind."""
    gc.disable()
    IMPORTS[kind]()
    gc.collect()
    gc.freeze()
    gc.enable()
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "what was imported has started a thread: no fork is safe"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(str(address))
    listening.listen(64)
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        _Nursery(kind, listening).serve()
    for file in (address, address.with_suffix(".lock"), address.with_suffix(".log")):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        address.parent.rmdir()


class _Nursery:
    """Its lines, and what was born over each."""

    def __init__(self, kind: str, listening: socket.socket) -> None:
        self._kind, self._listening = kind, listening
        self._lines: dict[int, socket.socket] = {}
        self._born: dict[int, int] = {}
        self._left: set[int] = set()
        self._woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answers lines until none is left."""
        waiting = select.poll()
        waiting.register(self._listening, select.POLLIN)
        waiting.register(self._woken, select.POLLIN)
        begun = False
        while not begun or self._lines:
            for descriptor, _ in waiting.poll():
                if descriptor == self._listening.fileno():
                    line, _ = self._listening.accept()
                    self._lines[line.fileno()] = line
                    waiting.register(line, select.POLLIN)
                    begun = True
                elif descriptor == self._woken:
                    os.read(self._woken, 4096)
                elif not self._answer(self._lines[descriptor]):
                    waiting.unregister(descriptor)
                    self._lines.pop(descriptor).close()
                    if descriptor in self._born:
                        self._left.add(self._born.pop(descriptor))
                self._left -= {pid for pid in self._left if os.waitpid(pid, os.WNOHANG)[0]}

    def _answer(self, line: socket.socket) -> bool:
        """Whether the line goes on: with a process that is born over it, or that has ended and is reaped."""
        try:
            asked, files, _, _ = socket.recv_fds(line, MAX_REQUEST_BYTES, 8)
        except ConnectionError:
            return False
        if asked == REAP:
            _, status = os.waitpid(self._born.pop(line.fileno()), 0)
            line.sendall(str(status).encode())
        elif asked:
            self._born[line.fileno()] = self._give_birth(json.loads(asked), files)
            for file in files:
                os.close(file)
            line.sendall(str(self._born[line.fileno()]).encode())
        return bool(asked)

    def _give_birth(self, told: dict[str, Any], files: list[int]) -> int:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _take(told, files)
                (_serve if self._kind == DATASITES else _run)(told["arguments"])
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
            except BaseException:  # noqa: BLE001 - it is told as an interpreter tells it
                sys.excepthook(*sys.exc_info())
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(status)
        return child


def _take(told: dict[str, Any], files: list[int]) -> None:
    """A session, files, an environment, a folder and a umask of the new process's own, as `Popen` gives them."""
    os.setsid()
    kept = told.get("descriptor")
    spare = [os.dup(file) for file in files]  # beyond what is overwritten now
    high = [_moved_up(file) for file in spare]
    for number, file in enumerate(high[:3]):
        os.dup2(file, number)
    if kept is not None:
        os.dup2(high[3], kept)
    open_ones = [int(name) for name in os.listdir("/proc/self/fd")]
    for file in open_ones:
        if file > 2 and file != kept:
            with contextlib.suppress(OSError):
                os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    os.umask(told["umask"])


def _moved_up(file: int) -> int:
    """The same file above every number that a request can name."""
    import fcntl

    return fcntl.fcntl(file, fcntl.F_DUPFD, 512)


def _serve(arguments: list[str]) -> None:
    """What `python ARGUMENTS` runs, with PySyft told who its server is as if it were imported now."""
    from datasites.pysyft import server

    server._as_a_datasite_needs_it = _told_who_the_server_is  # type: ignore[assignment]
    with fork_servers_are_born():
        _run(arguments)


@contextlib.contextmanager
def _told_who_the_server_is() -> Iterator[None]:
    """What syft/server/server.py reads from the environment when it is imported."""
    from syft.server import env
    from syft.server import server as read

    read.signing_key_env = env.get_private_key_env()
    read.server_uid_env = env.get_server_uid_env()
    read.default_root_email = env.get_default_root_email()
    read.default_root_username = env.get_default_root_username()
    read.default_root_password = env.get_default_root_password()
    yield


def _run(arguments: list[str]) -> None:
    """What `python ARGUMENTS` runs: `-c PROGRAM ...` or `-m MODULE ...`."""
    how, what, *words = arguments
    if how == "-c":
        sys.argv = ["-c", *words]
        exec(what, {"__name__": "__main__"})
    else:
        sys.argv = [what, *words]
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def _import_datasites() -> None:
    from datasites.pysyft import server

    importlib.import_module("datasites.cli").main  # noqa: B018
    for name in ("datasites.cli.serving", "datasites.prepare", "datasites.server"):
        importlib.import_module(name)
    with server._as_a_datasite_needs_it():
        importlib.import_module("datasites.pysyft.guard")
    for name in AFTER_PYSYFT:
        importlib.import_module(f"datasites.{name}")


def _import_training() -> None:
    from datasites.runs.processes import fork_server

    fork_server.runner.import_training()


def _import_researchers() -> None:
    import support.imported_pysyft  # noqa: F401

    _import_training()
    for name in ("cli", "hospitals.federation", "evaluation.hold_out", "studies.study", "terminal.training_session"):
        importlib.import_module(f"researcher.{name}")


IMPORTS = {DATASITES: _import_datasites, FORK_SERVERS: _import_training, RESEARCHERS: _import_researchers}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
