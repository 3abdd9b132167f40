"""A notebook or a program is stopped while hospitals work: nothing is lost, and that is said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

TOLD = "Interrupted. What was reached is saved; run the cell again to go on."


class StudyInterrupted(KeyboardInterrupt):
    """Who watches a study stopped watching."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it (IPython's hook)."""
        return [TOLD]


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raises `StudyInterrupted` where somebody interrupts what happens within."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StudyInterrupted(TOLD) from error
