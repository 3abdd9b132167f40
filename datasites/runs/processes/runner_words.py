"""The words that a runner may say, and the sentence for each that a researcher reads in place of any text of a run."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Callable

from datasites.runs.processes.exception_summary import first_cause
from datasites.runs.processes.progress_pipe import ERROR, MISSING, READY, SLOWER, TRACE, TRAINED, UNSEEN
from datasites.runs.sandbox.confinement import missing_pieces
from policies.errors import NotRepeatable, OutOfMemory, RunFailed, WanwuError

log = logging.getLogger(__name__)

NO_RESULT = (
    "The run ended at the hospital without a result; nothing left it. Ask the hospital to look at its log if that "
    "happens again."
)
NOT_STARTED = "The run could not be started at the hospital; it read no picture. Ask for the round again."
# What a device is found to be unfit for on made-up pictures: nothing in it is of the hospital's own.
_UNFIT: dict[type[WanwuError], str] = {
    NotRepeatable: "On the hospital's device a picture's gradient depends on what is computed beside it, or its GPUs "
    "do not compute alike, so the privacy of a training run cannot be kept there. The run read no picture. Set "
    "run.device to 'cpu', or ask the hospital.",
    OutOfMemory: "The hospital's memory did not hold a part of a step. The run read no picture. Set a smaller "
    "physical_batch_size, or ask the hospital.",
}


def heard(line: str, awaited: str, progress: Callable[[float], None], told: Callable[[str], None]) -> str:
    """What a runner says: that it is ready or done, how far it is, or why it ends, for the hospital's log alone.

    Args:
        line: Of the runner.
        awaited: `READY` or `DONE`.
        progress: Told the share of the work that is done.
        told: Told each line of a rehearsal's traceback.

    Raises:
        RunFailed: It ends with an error.
        NotRepeatable, OutOfMemory: It ends before it is ready, since the device is unfit for the run.
        SandboxMissing: It could not be closed in.
    """
    if line.startswith(MISSING):
        raise missing_pieces({}, told=line.removeprefix(MISSING))
    if line.startswith(ERROR):
        raise _ended(line.removeprefix(ERROR), awaited)
    if line.startswith(TRACE):
        told(line.removeprefix(TRACE))
        return line
    if line.startswith(TRAINED):
        log.info("a run trained in %s s", line.removeprefix(TRAINED))
    if line.startswith(SLOWER):
        log.warning("a run's GPU does %s in a slower way than there is; see the doctor", line.removeprefix(SLOWER))
    if line.startswith(UNSEEN):
        said = line.removeprefix(UNSEEN)
        log.warning(
            "a run was leased a GPU and sees none, so it computes on the processor: the driver says: %s; "
            "see the doctor, which tries what hides it",
            said,
        )
    with contextlib.suppress(ValueError):
        share = float(line)
        if 0.0 <= share <= 1.0:
            progress(share)
    return line


def too_slow(awaited: str, timeout_seconds: float) -> RunFailed:
    """For a runner that has not said `awaited` in time."""
    if awaited == READY:
        return RunFailed(
            f"The run was not ready to read a picture within the {timeout_seconds:g} seconds that the plan and the "
            "hospital give it. Set a smaller physical_batch_size or raise run.timeout_seconds."
        )
    return RunFailed(
        f"The round took longer than the {timeout_seconds:g} seconds that the plan and the hospital "
        "give it; nothing left the hospital. Lower steps_per_round or raise run.timeout_seconds."
    )


def note_end(status: int) -> None:
    """Tells the hospital's log of a run that the system ended, since it can say nothing itself.

    Args:
        status: The exit status of its first process, or the signal that ended it as a negative number.
    """
    if status == -signal.SIGBUS:
        log.error(
            "a run was ended by the system (SIGBUS): the disk did not give a page of a file that it reads, of the "
            "pictures or of weights. Look at the disk."
        )


def _ended(words: str, awaited: str) -> WanwuError:
    private = f"the run ended with {words}"
    if awaited != READY:
        return RunFailed(NO_RESULT, private=private)
    code = first_cause(words)
    return next(
        (kind(text, private=private) for kind, text in _UNFIT.items() if kind.code == code),
        RunFailed(NOT_STARTED, private=private),
    )
