"""A process that does one thing and ends, so that what the thing imports takes no memory in the one that goes on.

A plan is checked, and first weights are made, with torch; whoever hands work out to workers has no other use for it.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar, cast

from policies.errors import RunFailed

_T = TypeVar("_T")


class Aside:
    """A copy of this process, begun before what it will do is known, with what that will import.

    Where torch is in memory already there is none, and what it would do is done here.
    """

    def __init__(self, *modules: str) -> None:
        """Begins nothing yet.

        Args:
            modules: That it imports at once.
        """
        self._modules = modules
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ours: Connection | None = None

    def __enter__(self) -> Self:
        """Begins it: none of this process's threads is in the copy, so before there are some."""
        if "torch" not in sys.modules:
            fork = multiprocessing.get_context("fork")
            self._ours, theirs = fork.Pipe()
            self._process = fork.Process(target=_serve, args=(theirs, self._ours, self._modules), daemon=True)
            self._process.start()
            theirs.close()
        return self

    def __exit__(self, *raised: object) -> None:
        """Ends it, whatever it is at."""
        if self._process is not None and self._ours is not None:
            self._ours.close()
            self._process.terminate()
            self._process.join()
            self._process = self._ours = None

    @contextlib.contextmanager
    def doing(self, do: Callable[..., _T], *given: object) -> Iterator[Callable[[], _T]]:
        """Calls a function there, which begins now, and ends the process with the block: see `apart`."""
        if self._ours is None:
            yield lambda: do(*given)
            return
        ours = self._ours
        with contextlib.suppress(OSError):  # it was ended: waiting for it says so
            ours.send((do, given))
        try:
            yield lambda: cast(_T, _answer(ours))
        finally:
            self.__exit__()


@contextlib.contextmanager
def apart(do: Callable[..., _T], *given: object) -> Iterator[Callable[[], _T]]:
    """Calls a function in a copy of this process, which begins now; or here, where torch is in memory already.

    The block is for what is done meanwhile. Threads of this process belong there, as none of them is in the copy.

    Args:
        do: Of a module; what it returns or raises can be pickled.
        given: Its arguments.

    Yields:
        What waits for the function, and returns what it returned.

    Raises:
        RunFailed: Where it is waited for: the process was ended from outside.
        Exception: Likewise: what the function raises.
    """
    with Aside() as aside, aside.doing(do, *given) as wait:
        yield wait


def _answer(ours: Connection) -> Any:
    try:
        returned, found = ours.recv()
    except (EOFError, OSError) as error:
        raise RunFailed(
            "The process that makes a simulation's plan was ended from outside, as a system does that is short "
            "of memory. Look at what else runs on this machine, and run the command again."
        ) from error
    if not returned:
        raise found
    return found


def _serve(theirs: Connection, ours: Connection, modules: tuple[str, ...]) -> None:
    """In the copy: what stops a command is for the process that goes on, which ends this one."""
    ours.close()  # or this end would not hear that the other process has ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for module in modules:
        importlib.import_module(module)
    try:
        do, given = theirs.recv()
    except EOFError:
        return
    try:
        answer = True, do(*given)
    except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
        answer = False, error
    theirs.send(answer)
