"""Privacy receipts: what one study cost at this datasite, signed, for whoever holds the datasite's public key.

A receipt crosses the boundary. It names rounds, noise and digests that the researcher knows already, and the dataset
only by a mark under the hospital's own key.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from datasites.approvals.approvals import NEVER_APPROVED
from datasites.code_requests.books import Books
from policies.errors import RequestUnknown
from policies.ledger.receipt import Receipt, RoundEntry, dataset_mark, public_key, sign
from policies.papers.bill_of_materials import bill_digest
from policies.versions import packages


class Receipts:
    """Issues the receipts of one datasite."""

    def __init__(self, datasite: str, seed: bytes, books: Books) -> None:
        self._datasite, self._seed, self._books = datasite, seed, books

    @property
    def public_key(self) -> str:
        """The datasite's published ed25519 key, hexadecimal."""
        return public_key(self._seed)

    def issue(self, request_id: str) -> str:
        """The signed receipt of an approved or ended request, over the rounds that were charged so far.

        Guarantees:
            States every round that the ledger has charged to the request, whatever came of it, and the epsilon that
            they compose to. A round that gave nothing has the digest of no bytes, and so has one that is running.

        Raises:
            RequestUnknown: The request was not approved.
            LedgerBroken: The ledger does not verify.
        """
        decision = self._books.approvals.of_request(request_id)
        reservation = self._books.ledger.held(request_id)
        if decision is None or decision.decision in NEVER_APPROVED or reservation is None:
            raise RequestUnknown("There is a receipt for approved requests only.")
        plan = decision.approved_plan
        epsilon = None
        if plan.privacy is not None:
            epsilon = self._books.calculator.epsilon_spent(reservation.spent, plan.privacy.delta)
        rounds = tuple(
            RoundEntry(
                round=index,
                noise_multiplier=done.spend.noise_multiplier if done.spend else None,
                sample_rate=done.spend.sample_rate if done.spend else None,
                steps=done.spend.steps if done.spend else None,
                update_digest=done.update_digest,
                allocated_over=done.spend.allocated_over if done.spend else 0,
            )
            for index, done in reservation.rounds_charged.items()
        )
        head = self._books.audit.write(
            "receipt issued", request=request_id, rounds=len(rounds), **self._books.witness()
        )
        receipt = Receipt(
            datasite=self._datasite,
            request_id=request_id,
            study=plan.study,
            researcher=decision.researcher,
            dataset=decision.dataset,
            dataset_mark=dataset_mark(decision.fingerprint, self._seed),
            unit=plan.privacy.unit if plan.privacy else "picture",
            plan=json.loads(plan.to_json()),
            plan_digest=plan.digest(),
            approver=decision.told_approver,
            approved_at=decision.decided_at,
            approval_digest=decision.digest,
            rounds=rounds,
            epsilon=epsilon,
            delta=plan.privacy.delta if plan.privacy else None,
            state=decision.decision,
            versions={**packages.installed(), "sbom": bill_digest()},
            audit_head=head,
            issued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return sign(receipt, self._seed)
