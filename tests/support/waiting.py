"""How tests wait: for what happens, never for the time in which it should have happened.

How long something takes hangs on the machine and on what else it does. A test waits until a condition holds, and ends
at once where what it hangs on is gone. The ceiling is for a fault that would let it wait for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# Above whatever a busy machine takes, and below the suite's own limit for one test. Also for sockets and processes.
CEILING_SECONDS = 600.0

_Found = TypeVar("_Found")


def wait_for(what: Callable[[], _Found | None], *, alive: Callable[[], object] = lambda: True) -> _Found:
    """Polls until `what()` is true, and returns that.

    Args:
        what: Looks whether it has happened.
        alive: Whether that which should let it happen still goes on: once it does not, `what` gets one last look.

    Raises:
        AssertionError: What should let it happen has ended, or the ceiling is reached.
    """
    until = time.monotonic() + CEILING_SECONDS
    while True:
        lives = alive()
        if found := what():
            return found
        assert lives, "what it hangs on has ended, and it did not happen"
        assert time.monotonic() < until, f"it did not happen within {CEILING_SECONDS:.0f} seconds"
        time.sleep(0.05)
