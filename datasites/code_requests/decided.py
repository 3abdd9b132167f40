"""Makes the record of a decision on a code request, from the request as it stands."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from datasites.approvals.approvals import Decision, sealed
from datasites.code_requests.calculator import DeclaredShapes
from datasites.code_requests.canonical import CanonicalRequest, code_id
from policies.budget.limits import DatasetLimits
from policies.plans.plan_json import canonical_json, sha256_text

NO_SHAPES = canonical_json(asdict(DeclaredShapes({}, {})))


def decision_on(checked: CanonicalRequest, decision: str, *, by: str, reason: str, shapes: str, at: str) -> Decision:
    """The decision on a request as it stands now."""
    manifest = checked.dataset.manifest
    return Decision(
        request_id=checked.request_id,
        decision=decision,
        digest=sealed(checked.digest, shapes),
        code_id=checked.code_id,
        account=checked.account,
        researcher=checked.researcher,
        dataset=manifest.name,
        fingerprint=manifest.budget_key,
        plan=checked.plan.to_json(),
        shapes=shapes,
        decided_by=by,
        decided_at=at,
        reason=reason,
    )


def refused_unread(request: Any, decision: str, *, by: str, reason: str) -> Decision:
    """The refusal of a request that does not read as one, or its end: it holds nothing but who, when and why."""
    return Decision(
        request_id=str(request.id),
        decision=decision,
        digest="",
        code_id=str(code_id(request)),
        account=str(request.requesting_user_verify_key),
        researcher=str(request.requesting_user_email),
        dataset="",
        fingerprint="",
        plan="",
        shapes=NO_SHAPES,
        decided_by=by,
        decided_at=now(),
        reason=reason,
    )


def voted_digest(card_digest: str, limits: DatasetLimits) -> str:
    """SHA-256 over what a reviewer votes on: the card's digest, and the limits that say what its cost means."""
    return sha256_text(
        canonical_json(
            {
                "card": card_digest,
                "total": asdict(limits.total),
                "max_study_epsilon": limits.max_study_epsilon,
                "max_researcher_epsilon": limits.max_researcher_epsilon,
                "adaptive_filter": limits.adaptive_filter,
            }
        )
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
