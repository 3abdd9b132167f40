"""The function that the stub calls, in the datasite's process: it queues an approved round and answers at once.

PySyft runs the stub twice for each call, with the private asset and with its mock twin, and hides exceptions from the
researcher; so the mock's turn does nothing, and a refusal is an answer, not an exception.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from policies.answers.runs import RunAnswer
from policies.contracts.outputs import release_answer
from policies.errors import RequestPending, RunError, StorageUnavailable, WanwuError
from policies.plans.training import canonical_json

log = logging.getLogger(__name__)
Admit = Callable[[str, str], RunAnswer]
_NOT_TAKEN = "The hospital's disk does not take what this needs. Nothing half-done is kept; asking again later is safe."


@dataclass(frozen=True)
class _Served:
    """The call that is being served: what decides about its round, and what was answered."""

    admit: Admit
    answers: list[str] = field(default_factory=list)


# PySyft executes the stub from its text and hands it nothing but asset, plan and ticket: what decides about the round
# of the call that is being served has no other way in, and its answer no other way out.
_served: ContextVar[_Served | None] = ContextVar("served_call", default=None)


@contextmanager
def serving(admit: Admit) -> Iterator[list[str]]:
    """Inside, in this thread, a code request's call is served; yields what its stub answers.

    Args:
        admit: Decides about the call's round: given the pinned plan and the ticket, as texts.
    """
    served = _Served(admit)
    token = _served.set(served)
    try:
        yield served.answers
    finally:
        _served.reset(token)


def enter(asset: Mapping[str, Any], plan: str, ticket: str) -> str:
    """What every code request calls. Returns JSON: the run's public fields, or a code and a public reason."""
    try:
        if asset["kind"] != "private":
            return canonical_json({"state": "mock"})
    except (KeyError, TypeError):
        log.exception("round refused")
        return canonical_json(RunError("The round names no asset of this datasite. Ask the hospital.").to_json())
    served = _served.get()
    if served is None:
        refused = RequestPending("A round can only be asked for through an approved code request.")
        return canonical_json(refused.to_json())
    answer = _decide(served.admit, plan, ticket)
    served.answers.append(answer)
    return answer


def _decide(admit: Admit, plan: str, ticket: str) -> str:
    try:
        return canonical_json(release_answer(admit(plan, ticket)))
    except WanwuError as error:
        log.warning("round refused: %s %s", error.public, error.private)
        return canonical_json(error.to_json())
    except (sqlite3.OperationalError, OSError):
        log.exception("round refused")
        return canonical_json(StorageUnavailable(_NOT_TAKEN).to_json())
    except Exception:  # an exception's text may hold anything, so none leaves
        log.exception("round refused")
        return canonical_json(RunError("The round could not be checked and is refused. Ask the hospital.").to_json())
