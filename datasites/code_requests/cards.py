"""What a hospital's reviewer sees of a code request: what runs, what it costs, and why it could not be approved."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from datasites.approvals.approvals import sealed
from datasites.code_requests.books import Books
from datasites.code_requests.canonical import RequestReader
from policies.budget.accountant import plan_spend
from policies.errors import WanwuError
from policies.plans.findings import findings
from policies.plans.plan_json import canonical_json, settings


@dataclass(frozen=True)
class RequestCard:
    """One request. Plain values, ready for the terminal, JSON or a page.

    Attributes:
        id: The request's identifier.
        state: `pending`, `approved`, `denied` or `ended`.
        researcher: E-mail address of the account that asks.
        submitted: When, UTC.
        reason: The decision's reason.
        decided_by: Who decided.
        delta: At which epsilons are stated.
        plan: The plan, as plain values; empty when it cannot be read.
        epsilon: What the study would cost; None without differential privacy.
        epsilon_left: What is left of the dataset's budget.
        numbers: How many numbers leave in one round.
        digest: Over all that a decision covers.
        approvals: Who has approved so far, while more approvals are needed.
        approvals_needed: How many different people must approve.
        finding: Why the request cannot be approved; empty when it can.
        unusual: What is out of the ordinary in the plan: {field, text} each; it can be approved all the same.
    """

    id: str
    state: str
    researcher: str
    submitted: str
    reason: str
    decided_by: str
    delta: float
    plan: dict[str, Any] = field(default_factory=dict)
    epsilon: float | None = None
    epsilon_left: float = 0.0
    numbers: int = 0
    digest: str = ""
    approvals: tuple[str, ...] = ()
    approvals_needed: int = 1
    finding: str = ""
    unusual: tuple[dict[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def make_card(request: Any, reader: RequestReader, books: Books) -> RequestCard:
    """The card of one of PySyft's requests."""
    decision = books.approvals.of_request(str(request.id))
    known: dict[str, Any] = {
        "id": str(request.id),
        "state": decision.decision if decision else "pending",
        "researcher": str(request.requesting_user_email),
        "submitted": str(request.request_time),
        "reason": decision.reason if decision else "",
        "decided_by": decision.decided_by if decision else "",
        "approvals": books.approvals.consents.of(str(request.id)) if decision is None else (),
        "approvals_needed": books.limits.current.approvals_needed,
        "delta": books.limits.current.total.delta,
    }
    read: dict[str, Any] = {}
    finding = ""
    try:
        canonical = reader.read(request)
        plan, manifest = canonical.plan, canonical.dataset.manifest
        read = {"plan": settings(plan), "digest": canonical.digest}
        read["unusual"] = tuple(asdict(one) for one in findings(plan, public_size=manifest.public_size))
        read["epsilon_left"] = books.epsilon_left(manifest.fingerprint)
        if spend := plan_spend(plan):
            read["epsilon"] = books.epsilon(spend)
        shapes = books.calculator.shapes(plan)
        read["digest"] = sealed(canonical.digest, canonical_json(asdict(shapes)))
        read["numbers"] = sum(math.prod(shape) for shape in shapes.outputs.values())
        books.limits.check(plan, manifest)
    except WanwuError as error:
        finding = f"{error.code}: {error.public}"
    return RequestCard(**known, **read, finding=finding)
