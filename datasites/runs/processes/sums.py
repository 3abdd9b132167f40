"""The process that computes sums for a datasite: forked like runners, from what has imported torch, and asked over a
connection. It is given plans and histories of steps, never a path to a picture."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from policies.errors import RunFailed

ENDED = "The process that computes sums has ended. Ask again; if that does not help, look at logs/runs.log."


def answer(descriptor: int) -> None:
    """Answers questions, each a function of a module with its arguments, until the datasite closes the connection.

    Args:
        descriptor: Of a stream socket; whoever holds its other end is trusted, since it says what is called.
    """
    with Connection(descriptor) as questions:
        while True:
            try:
                function, arguments = questions.recv()
            except (EOFError, ConnectionError):
                return
            try:
                answered = True, function(*arguments)
            except Exception as error:  # noqa: BLE001 - it is raised again where it was asked
                answered = False, error
            with contextlib.suppress(ConnectionError):
                questions.send(answered)


class SumsProcess:
    """That process, as the datasite has it."""

    def __init__(self, pid: int, descriptor: int, *, end: Callable[[int, int], None]) -> None:
        """Takes over what was forked.

        Args:
            pid: Its process id.
            descriptor: The datasite's end of its connection.
            end: Ends and reaps it, given its process id and an open handle of it.
        """
        self.pid = pid
        self._handle = os.pidfd_open(pid)
        self._questions, self._end = Connection(descriptor), end

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function of a module gives, computed there; also what it raises.

        Raises:
            RunFailed: The process has ended.
        """
        try:
            self._questions.send((function, arguments))
            is_told, told = self._questions.recv()
        except (EOFError, OSError) as error:
            raise RunFailed(ENDED, private=repr(error)) from error
        if not is_told:
            raise told
        return told

    def end(self) -> None:
        """Ends it, whatever it is at."""
        self._questions.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._end(self.pid, self._handle)
