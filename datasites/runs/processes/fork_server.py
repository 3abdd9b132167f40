"""The process that runners are forked from: it has imported what training needs, and forks one child for each run.

It holds no key and opens no picture. Its only orders come over a socket that the datasite made: start a child with
these two pipes, or one that computes sums, or end a child and all that it started. A runner is the first process of its
own namespaces, born through a keeper that ends at once. A child stays unreaped until the datasite says so, so its
process id cannot be another's meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
from typing import NoReturn

from datasites.runs.processes import imported_memory, runner, sums
from datasites.runs.processes.runner import JOBS, PROGRESS, Preparation
from datasites.runs.sandbox import kernel, namespaces

START, SUMS, END = b"S", b"C", b"E"
PID = struct.Struct("!q")
CONTROL = 3
_NONE = 0


def main(prepare: Preparation = runner.prepare) -> None:
    """Serves orders on file descriptor `CONTROL` until the datasite closes it, then ends every run.

    Args:
        prepare: What runs do in the sandbox; tests bring their own.
    """
    gc.disable()  # what is imported stays: no garbage is looked for meanwhile, nor afterwards among it,
    runner.import_training()
    gc.freeze()  # so that the runs that are forked go on sharing its memory
    gc.enable()
    imported_memory.put_into_huge_pages()
    kernel.libc()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    control = socket.socket(fileno=CONTROL)
    control.sendall(PID.pack(os.getpid()))
    runs: set[int] = set()
    try:
        while True:
            order, descriptors, _, _ = socket.recv_fds(control, 1, 3)
            if (order == START and len(descriptors) >= 2) or (order == SUMS and len(descriptors) == 1):
                child = _give_birth(prepare, *descriptors) if order == START else _compute_sums(*descriptors)
                runs.add(child)
                for descriptor in descriptors:
                    os.close(descriptor)
                control.sendall(PID.pack(child))
            elif order == END:
                child = PID.unpack(_exactly(control, PID.size))[0]
                status = end_group(child)
                runs.discard(child)
                end_others(runs)
                control.sendall(PID.pack(status))
            else:
                return
    finally:
        end_others(set())


def end_group(child: int) -> int:
    """Kills a child and everything in its process group, and reaps it; with a first process all its namespace ends.

    Returns:
        Its exit status, or the signal that ended it as a negative number.
    """
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 0


def end_others(runs: set[int]) -> None:
    """Ends what runs left behind: without a namespace of its own, a process whose parent has ended arrives here."""
    while others := _children() - runs:
        for child in others:
            end_group(child)


def _children() -> set[int]:
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123
        return {int(child) for child in listed.read().split()}
    return set()


def _give_birth(prepare: Preparation, jobs: int, progress: int, group: int = -1) -> int:
    """A new runner's process id; 0 if there is none.

    Args:
        prepare: What it does.
        jobs: Its job comes here.
        progress: It tells its progress there.
        group: An open `cgroup.procs` that it enters, if not negative.
    """
    born, told = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        _keep(prepare, jobs, progress, group, told)
    os.close(told)
    with os.fdopen(born, "rb") as stream:
        answer = stream.read(PID.size)
    os.waitpid(keeper, 0)
    return int(PID.unpack(answer)[0]) if len(answer) == PID.size else _NONE


def _compute_sums(connection: int) -> int:
    """The process id of a new child that answers there, and holds no other file but the hospital's log."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            os.dup2(connection, CONTROL)
            os.closerange(CONTROL + 1, 1 << 16)
            sums.answer(CONTROL)
            status = 0
        except BaseException:  # noqa: BLE001 - it goes to the hospital's log
            _print_trace()
        finally:
            os._exit(status)
    return child


def _keep(prepare: Preparation, jobs: int, progress: int, group: int, told: int) -> NoReturn:
    """The keeper: enters the control group, makes namespaces, forks the runner into them, and ends."""
    try:
        if group >= 0:
            os.write(group, b"0")
        missing = namespaces.separate()
        child = os.fork()
        if child == 0:
            be_runner(prepare, jobs, progress, missing)
        os.write(told, PID.pack(child))
    except BaseException:  # noqa: BLE001 - it goes to the hospital's log, and the keeper ends either way
        _print_trace()
    finally:
        os._exit(0)


def be_runner(prepare: Preparation, jobs: int, progress: int, missing: dict[str, str]) -> NoReturn:
    """The runner: a session of its own, the two pipes as input and output, no other file but the hospital's log."""
    status = 1
    try:
        os.setsid()
        os.dup2(jobs, JOBS)
        os.dup2(progress, PROGRESS)
        os.closerange(CONTROL, 1 << 16)
        runner.main(prepare, missing)
        status = 0
    except BaseException:  # noqa: BLE001 - before the sandbox it goes to the hospital's log, inside it nowhere
        _print_trace()
    finally:
        os._exit(status)


def _print_trace() -> None:
    import traceback

    traceback.print_exc()


def _exactly(control: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = control.recv(size - len(content))
        if not chunk:
            raise EOFError
        content += chunk
    return content


if __name__ == "__main__":
    main()
