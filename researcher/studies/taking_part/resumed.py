"""The round that was under way when a session ended, asked of hospitals in the place of their decision and canary.

A hospital that was asked for it had approved and its canary had passed; one that is at it, or has done it, goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from policies.answers.runs import RunAnswer
from policies.errors import WanwuError
from researcher.studies.asked_round import AskedRound
from researcher.studies.remote_round import AT_WORK
from researcher.studies.taking_part.roster import FOR_NOW, Told


class Resumed:
    """Asks each hospital for the run of that round once, and for whatever else is asked of it after that."""

    def __init__(
        self, asked: AskedRound, ask: Callable[[str, int], RunAnswer], otherwise: Callable[[str], Told]
    ) -> None:
        """Asks for nothing yet.

        Args:
            asked: The round, and of whom it was asked.
            ask: Asks a hospital for its run of a round.
            otherwise: Asks a hospital for (state, reason) of its request, where it is not at the round.
        """
        self._left, self._round = set(asked.datasites), asked.round
        self._ask, self._otherwise = ask, otherwise
        self._runs: dict[str, RunAnswer] = {}

    def told(self, name: str) -> Told:
        """(state, reason) of the request at a hospital; `approved` where it is at the round.

        Raises:
            WanwuError: It cannot be reached, or refuses.
        """
        if name in self._left:
            try:
                run = self._ask(name, self._round)
            except FOR_NOW:  # the next question is the same
                raise
            except WanwuError:
                run = None
            self._left.discard(name)
            if run is not None and run.state in AT_WORK:
                self._runs[name] = run
                return "approved", ""
        return self._otherwise(name)

    def run(self, name: str, round_index: int) -> RunAnswer | None:
        """What a hospital has told of its run of a round; None if nothing, and after it was taken.

        Args:
            name: The hospital's.
            round_index: From 0.
        """
        return self._runs.pop(name, None) if round_index == self._round else None
