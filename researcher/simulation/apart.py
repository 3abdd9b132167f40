"""A process that does one thing and ends, so that what the thing imports takes no memory in the one that goes on.

A plan is checked, and first weights are made, with torch; whoever hands work out to workers has no other use for it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from policies.errors import RunFailed

_T = TypeVar("_T")


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
    if "torch" in sys.modules:
        yield lambda: do(*given)
        return
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("fork")) as pool:
        found = pool.submit(do, *given)

        def wait() -> _T:
            try:
                return found.result()
            except BrokenProcessPool as error:
                raise RunFailed(
                    "The process that makes a simulation's plan was ended from outside, as a system does that is short "
                    "of memory. Look at what else runs on this machine, and run the command again."
                ) from error

        yield wait
