"""Answers to a researcher about a run: all that leaves of it beside its update."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

from policies.plans.plan_json import ADDED_LATER
from policies.validate import MAX_NUMBER, Checks, one_of, whole

STATES = ("queued", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")
Count = Annotated[int, whole(0, MAX_NUMBER)]
CANARY = -1
"""In the place of a round's number: a request's canary, two steps on the mock before the first round."""
_CODE = re.compile(r"(WW[0-9]{3})?")


def _code(checks: Checks, field: str, value: str) -> str:
    if not _CODE.fullmatch(value):
        raise checks.refusal(f"{field} must be the code of an error, or empty.")
    return value


def _update(checks: Checks, field: str, value: str) -> str:
    return value and checks.digest(field, value)


@dataclass(frozen=True)
class RunAnswer:
    """The public fields of a run. None of them changes while it is running: neither progress nor tries can be seen.

    Attributes:
        run: Its identifier.
        round: From 0; `CANARY` of a canary.
        state: One of `STATES`.
        code: Of the error that it ended with; empty otherwise.
        reason: The error's public text.
        update: Digest of the released update, once it is done.
        queue_position: Runs before it, while it is queued.
        version: A counter of its changes.
    """

    run: str
    round: Annotated[int, whole(CANARY, MAX_NUMBER)]
    state: Annotated[str, one_of(*STATES)]
    code: Annotated[str, _code]
    reason: str
    update: Annotated[str, _update]
    queue_position: Count
    version: Count


@dataclass(frozen=True)
class ChargedRunAnswer(RunAnswer):
    """The public fields of a run that is done or lost.

    Attributes:
        epsilon_spent: By all rounds of its request so far; None without differential privacy.
        receipt: The datasite's signed word that its ledger holds the end of this round, to be shown to it with later
            questions; see `policies.contracts.round_receipt`.
    """

    epsilon_spent: float | None
    receipt: str = field(default="", metadata=ADDED_LATER)
