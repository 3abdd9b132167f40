"""Printing of lines: each goes through `shown`, so that a terminal obeys none of it."""

from __future__ import annotations

import io
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from policies.untrusted_text import shown

if TYPE_CHECKING:
    from policies.errors import WanwuError

MOST_IN_A_LINE = 4000
MARGIN = "  | "  # before each line of a private text


def say(line: object, *, to_errors: bool = False) -> None:
    """Prints one line."""
    print(shown(line, most=MOST_IN_A_LINE), file=sys.stderr if to_errors else sys.stdout, flush=True)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Prints a value as JSON, which holds printable ASCII alone."""
    import json  # late, as below: every help waits for this module

    print(json.dumps(value, indent=indent))


def say_error(error: WanwuError, *, private: bool = False) -> None:
    """Prints an error as every command does, its private text only where the hospital's own people read it.

    Lines of the private text have a margin: a name in it that breaks a line looks like nothing that a command says.
    """
    say(f"{error.code}: {error.public}", to_errors=True)
    if private and error.private:
        for line in error.private.split("\n"):
            say(f"{MARGIN}{line}", to_errors=True)


def show_everything() -> None:
    """Makes a program's last words safe too: a traceback, and letters that its terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _say_traceback


def _say_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    for piece in traceback.format_exception(kind, error, trace):
        for line in piece.rstrip("\n").split("\n"):
            say(line, to_errors=True)
