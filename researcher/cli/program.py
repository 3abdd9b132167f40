"""`python -m researcher`: its commands, and how an interrupted one ends. No command sees a private row."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

from policies.terminal.commands import run
from policies.terminal.entry import INTERRUPTED, NOTHING_BEGUN
from policies.terminal.printing import say, show_everything
from policies.terminal.version_option import version_option
from researcher.cli import conversations, counts, demo, evidence, hospitals, receipts, repetition, reports, studies
from researcher.cli.commands import Interrupted, ResearcherCommands
from researcher.cli.models import captures, exports, serving
from researcher.cli.trials import simulation
from researcher.stops import stoppable

DESCRIPTION = "The researcher's commands."
PARTS = (
    hospitals,
    studies,
    repetition,
    conversations,
    receipts,
    evidence,
    counts,
    captures,
    exports,
    serving,
    reports,
    simulation,
    demo,
)
"""Each adds its own commands; `--help` and the reference list them in this order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    show_everything()
    try:
        with stoppable(_say_that_it_ends):
            return run(make_program(), arguments)
    except KeyboardInterrupt as error:
        if arguments is None:
            _end_at_the_next()
        say(f"Interrupted. {error}" if isinstance(error, Interrupted) else NOTHING_BEGUN, to_errors=True)
        return INTERRUPTED


def _say_that_it_ends() -> None:
    say("Interrupted; ending what was begun, which takes some seconds ...", to_errors=True)


def _end_at_the_next() -> None:
    """Threads that wait for a hospital end with its answer, within seconds; who does not wait interrupts again."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))


def make_program() -> ResearcherCommands:
    """The program with every command."""
    program = ResearcherCommands("python -m researcher", DESCRIPTION)
    program.params.append(version_option())
    for part in PARTS:
        part.add_commands(program)
    return program
