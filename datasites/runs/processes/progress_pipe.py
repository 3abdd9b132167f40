"""The pipe from a runner to its datasite: how far it is, and which of a few words it ends with."""

from __future__ import annotations

import os

from datasites.runs.processes.exception_summary import exception_summary
from datasites.runs.processes.told_traceback import told_traceback

READY, DONE, ERROR, MISSING, TRAINED, TRACE = "ready", "done", "error ", "missing ", "trained ", "trace "
SLOWER, UNSEEN = "slower ", "unseen "
_MAX_TEXT = 600


class ProgressPipe:
    """The runner's end of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def line(self, text: str) -> None:
        """Says one line, in printable ASCII."""
        plain = "".join(sign if " " <= sign <= "~" else "?" for sign in text)
        os.write(self._descriptor, plain[:_MAX_TEXT].encode() + b"\n")

    def close(self) -> None:
        """Closes this process's copy."""
        os.close(self._descriptor)

    def share(self, done: float) -> None:
        """Says which share of the work is done."""
        self.line(repr(float(done)))

    def end(self, error: BaseException, *, rehearses: bool) -> None:
        """Says which kind of error the job ends with.

        Guarantees:
            The text of an exception is said of a rehearsal alone, whose pictures were found to be the mock's before
            anything read them.
        """
        if rehearses:
            for line in told_traceback(error):
                self.line(TRACE + line)
        self.line(ERROR + exception_summary(error))
