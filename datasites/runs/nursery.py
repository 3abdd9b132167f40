"""The process that runners are born from: it has imported what training needs, and forks one child for each run.

It holds no key and opens no picture. Its only orders come over a socket that the datasite made: start a child with
these two pipes, or end that child and all that it started. A child that ended stays unreaped until the datasite says
so, so its process id cannot be another's meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
from typing import NoReturn

START, END = b"S", b"E"
PID = struct.Struct("!q")
CONTROL = 3


def main() -> None:
    """Serves orders on file descriptor `CONTROL` until the datasite closes it."""
    from datasites.runs import runner

    runner.import_training()
    control = socket.socket(fileno=CONTROL)
    control.sendall(PID.pack(os.getpid()))
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if order == START and len(descriptors) == 2:
            child = _fork(control, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            control.sendall(PID.pack(child))
        elif order == END:
            end_group(PID.unpack(_exactly(control, PID.size))[0])
            control.sendall(PID.pack(0))
        else:
            return


def end_group(child: int) -> None:
    """Kills a child and everything in its process group, and reaps it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _fork(control: socket.socket, jobs: int, progress: int) -> int:
    child = os.fork()
    if child:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(child, child)
        return child
    _run_child(control, jobs, progress)


def _run_child(control: socket.socket, jobs: int, progress: int) -> NoReturn:
    """The child: a process group of its own, the two pipes as input and output, the hospital's log as errors."""
    status = 1
    try:
        os.setpgid(0, 0)
        control.close()
        os.dup2(jobs, 0)
        os.dup2(progress, 1)
        os.closerange(CONTROL, max(jobs, progress, CONTROL) + 1)
        sys.stdin = os.fdopen(0, closefd=False)
        from datasites.runs import runner

        runner.main()
        status = 0
    except BaseException:  # noqa: BLE001 - it goes to the hospital's log, and the child ends either way
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


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
