"""A program from its first import on: until a command is there, it ends in one line where it cannot begin.

Imports nothing that a help would wait for, and nothing of the house.
"""

import gc
import sys
from collections.abc import Callable

INTERRUPTED = 130  # exit status of what a person stopped, as shells have it
NOTHING_BEGUN = "Interrupted before anything was begun."
HOUSE = ("policies", "datasites", "researcher")


def enter(load: Callable[[], Callable[[], int]]) -> int:
    """Imports a program and runs it; returns the exit status, 130 where a person stopped it before it could say so.

    A Python that lacks what the program needs, as outside the virtual environment, is told as that, with status 1.

    Args:
        load: Imports the program, and returns what runs it.
    """
    gc.disable()  # what is imported stays: a help need not wait while it is searched for garbage; a command turns it on
    try:
        try:
            program = load()
        except ModuleNotFoundError as error:
            return without_environment(error)
        return program()
    except KeyboardInterrupt:  # before there is a command that could say more
        return before_anything()


def before_anything() -> int:
    """Says that nothing was begun; returns the exit status."""
    sys.stderr.write(f"{NOTHING_BEGUN}\n")
    return INTERRUPTED


def without_environment(error: ModuleNotFoundError) -> int:
    """Says which package this Python lacks, and where one is that has it; returns the exit status.

    Raises:
        ModuleNotFoundError: What is missing is the house's own.
    """
    package = (error.name or "").partition(".")[0]
    if not package or package in HOUSE:
        raise error
    sys.stderr.write(
        f"This Python, {sys.executable}, has no {package}: it is not the one of the virtual environment. In the "
        "project's folder, 'make setup' makes that once, and 'source .venv/bin/activate' chooses it in each terminal.\n"
    )
    return 1
