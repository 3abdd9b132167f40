"""Watching a study while it waits and runs: a display or the researcher's own functions, and trackers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from policies.answers.requests import with_reason
from policies.terminal.printing import say
from researcher.notebook.interruption import interruptible
from researcher.notebook.progress import round_display
from researcher.studies.history import RoundRecord
from researcher.studies.remote_round import RoundEvent
from researcher.terminal.inviting import told_without
from researcher.tracking.tracker import Tracker

if TYPE_CHECKING:
    from policies.errors import WanwuError
    from researcher.notebook.study import Study


def wait_for_decisions(
    study: Study, *, min_clients: int, grace_seconds: float, timeout_seconds: float, poll_seconds: float
) -> None:
    """Waits until enough of a study's hospitals approved, and says who decided.

    Raises:
        StudyInterrupted: Somebody interrupts it.
        WanwuError: As `Submission.wait_for_decisions`.
    """

    def tell(decisions: Mapping[str, tuple[str, str]]) -> None:
        say("; ".join(f"{name}: {with_reason(state, why)}" for name, (state, why) in decisions.items()))

    if told := told_without(study, "study.invite()"):
        say(told)
    with interruptible():
        study.wait_for_decisions(
            min_clients=min_clients,
            grace_seconds=grace_seconds,
            timeout_seconds=timeout_seconds,
            poll_seconds=poll_seconds,
            on_change=tell,
        )


def say_left_behind(study: Study) -> None:
    """Says what became of requests that an earlier submission left, of other settings, from the study's folder."""
    for line in study.told_left_behind():
        say(line)


def say_unfetched(missing: Mapping[str, WanwuError]) -> None:
    """Says whose receipts are not in the folder of a study that is done."""
    for name, error in missing.items():
        say(f"{name}: its receipt was not fetched, ask again with study.receipts: {error.code}: {error.public}")


class Watching:
    """Watches one run of a study.

    Args:
        study: Which.
        on_event: Told what hospitals are doing, instead of a display.
        on_round: Told of each round, likewise.
        trackers: Told of each round besides.
    """

    def __init__(
        self,
        study: Study,
        on_event: Callable[[RoundEvent], None] | None,
        on_round: Callable[[RoundRecord], None] | None,
        trackers: tuple[Tracker, ...],
    ) -> None:
        self._plan, self._trackers = study.plan, trackers
        self._display = round_display(list(study.requests), rounds=study.plan.rounds, done=len(study.history))
        self.on_event = on_event or self._display.on_event
        self._on_round = on_round or self._display.on_round

    def on_round(self, record: RoundRecord) -> None:
        """Tells everybody of a round that ended."""
        self._on_round(record)
        for one in self._trackers:
            one.round(record)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Opens the display and the trackers, and closes them whatever happens.

        Raises:
            StudyInterrupted: Somebody interrupts what happens within.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(interruptible())
            for one in self._trackers:
                one.begin(self._plan)
                stack.callback(one.end)
            stack.enter_context(self._display)
            yield
