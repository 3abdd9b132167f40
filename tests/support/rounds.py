"""One round of a study at a datasite, asked for and waited for."""

from __future__ import annotations

from typing import Any

from support.waiting import wait_for

from policies.answers.plain_values import to_plain
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes


def train_round(study: Any, index: int, name: str) -> dict[str, Any]:
    """One round through to its update."""
    from datasites.training.models import initial_weights

    hospital = study.federation.hospitals[name]
    digest = hospital.routes.put_blob(canonical_bytes(initial_weights(study.plan.model, index)))
    request = study.requests[name]
    hospital.ask(study.plan.dataset, request, Ticket(index, digest))

    def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = to_plain(hospital.routes.run(request.request_id, index))
        return None if run["state"] in ("queued", "running") else run

    return wait_for(ended)
