"""A program from its first import on: until a command is there, one that a person stops ends in one line.

Imports nothing that a help would wait for, and nothing of the house.
"""

import gc
import sys
from collections.abc import Callable

INTERRUPTED = 130  # exit status of what a person stopped, as shells have it
NOTHING_BEGUN = "Interrupted before anything was begun."


def enter(load: Callable[[], Callable[[], int]]) -> int:
    """Imports a program and runs it; returns the exit status, 130 where a person stopped it before it could say so.

    Args:
        load: Imports the program, and returns what runs it.
    """
    gc.disable()  # what is imported stays: a help need not wait while it is searched for garbage; a command turns it on
    try:
        return load()()
    except KeyboardInterrupt:  # before there is a command that could say more
        return before_anything()


def before_anything() -> int:
    """Says that nothing was begun; returns the exit status."""
    sys.stderr.write(f"{NOTHING_BEGUN}\n")
    return INTERRUPTED
