"""Takes code requests that PySyft keeps into the index, when they arrive and where it lacks one."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from datasites.code_requests.books import Books
from datasites.code_requests.canonical import RequestReader, code_id
from datasites.code_requests.request_index import Arrival, RequestIndex, RequestRow
from policies.budget.accountant import plan_spend
from policies.errors import WanwuError
from policies.plans.kinds import Plan
from policies.plans.plan_json import settings

log = logging.getLogger(__name__)


def take_in(request: Any, reader: RequestReader, index: RequestIndex) -> None:
    """Takes one of PySyft's requests into the index."""
    index.add_all([_arrival(request, reader)])


def catch_up(reader: RequestReader, index: RequestIndex) -> None:
    """Takes in what the index lacks, oldest first, and removes what PySyft does not keep, as after a restore."""
    kept, known = reader.ids(), index.ids()
    index.forget(known - kept)
    lacking = sorted(map(reader.find, kept - known), key=lambda one: str(one.request_time))
    index.add_all([_arrival(request, reader) for request in lacking])


def price(request: Any, reader: RequestReader, index: RequestIndex, books: Books) -> bool:
    """Computes what a request would cost at the dataset's delta, and keeps that in the index.

    Returns:
        False where that cannot be computed: nothing is kept then.
    """
    try:
        spend = plan_spend(reader.read(request).plan)
    except WanwuError:
        spend = ()
    try:
        epsilon = books.epsilon(spend) if spend else None
    except WanwuError as error:
        log.warning("request %s has no price: %s", request.id, error)
        return False
    index.price(str(request.id), epsilon, books.limits.current.total.delta)
    return True


def _arrival(request: Any, reader: RequestReader) -> Arrival:
    """What the index keeps of a request; of one whose plan cannot be read, who asks and when."""
    row = RequestRow(
        id=str(request.id), arrived_at=str(request.request_time), researcher=str(request.requesting_user_email)
    )
    with contextlib.suppress(WanwuError):
        row = _described(row, reader.read(request).plan)
    return Arrival(row, str(request.requesting_user_verify_key), str(code_id(request)))


def _described(row: RequestRow, plan: Plan) -> RequestRow:
    values = settings(plan)
    return RequestRow(
        row.id,
        row.arrived_at,
        row.researcher,
        study=plan.study,
        kind=str(values.get("kind", "?")),
        dataset=plan.dataset,
        model=str(values.get("model", {}).get("name", "")),
        rounds=plan.rounds,
    )
