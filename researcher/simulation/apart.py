"""A process that does one thing and ends, so that what the thing imports takes no memory in the one that goes on.

A plan is checked, and first weights are made, with torch; whoever hands work out to workers has no other use for it.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from policies.errors import RunFailed

_T = TypeVar("_T")


def apart(do: Callable[..., _T], *given: object) -> _T:
    """What a function returns, called in a copy of this process; or here, where torch is in memory already.

    Args:
        do: Of a module; what it returns or raises can be pickled.
        given: Its arguments.

    Raises:
        RunFailed: The process was ended from outside.
        Exception: What the function raises.
    """
    if "torch" in sys.modules:
        return do(*given)
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("fork")) as pool:
        try:
            return pool.submit(do, *given).result()
        except BrokenProcessPool as error:
            raise RunFailed(
                "The process that makes a simulation's plan was ended from outside, as a system does that is short of "
                "memory. Look at what else runs on this machine, and run the command again."
            ) from error
