"""Where the stub arrives, inside the datasite's process: hands an approved round to the queue and answers at once.

PySyft runs the stub twice for each call, with the private asset and with its mock twin, and hides exceptions from the
researcher; so the mock's turn does nothing, and a refusal is an answer, not an exception.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from policies.answers.runs import RunAnswer
from policies.contracts.outputs import release_answer
from policies.errors import RunError, WanwuError
from policies.plans.training import canonical_json

log = logging.getLogger(__name__)
Admit = Callable[[str, str], RunAnswer]
_admit: Admit | None = None
# Where the answer of the call that is being served in this thread is left for whoever replies to it.
current_answers: ContextVar[list[str] | None] = ContextVar("current_answers", default=None)


def install(admit: Admit) -> None:
    """Sets what decides about a round: called with the pinned plan and the ticket, as texts."""
    global _admit
    _admit = admit


def enter(asset: Mapping[str, Any], plan: str, ticket: str) -> str:
    """What every code request calls. Returns JSON: the run's public fields, or a code and a public reason."""
    try:
        if asset["kind"] != "private":
            return canonical_json({"state": "mock"})
    except (KeyError, TypeError):
        log.exception("round refused")
        return canonical_json(RunError("The round names no asset of this datasite. Ask the hospital.").to_json())
    answer = _decide(plan, ticket)
    if (answers := current_answers.get()) is not None:
        answers.append(answer)
    return answer


def _decide(plan: str, ticket: str) -> str:
    try:
        if _admit is None:
            raise RunError("The datasite is not ready for runs yet. Ask again in a moment.")
        return canonical_json(release_answer(_admit(plan, ticket)))
    except WanwuError as error:
        log.warning("round refused: %s %s", error.public, error.private)
        return canonical_json(error.to_json())
    except Exception:  # an exception's text may hold anything, so none leaves
        log.exception("round refused")
        return canonical_json(RunError("The round could not be checked and is refused. Ask the hospital.").to_json())
