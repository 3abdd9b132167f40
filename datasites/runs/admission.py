"""Decides whether a round may be queued. Everything is checked again here; nothing is spent yet."""

from __future__ import annotations

from datasites.approvals.approval import Approval
from datasites.audit_log.log import AuditLog
from datasites.files.read_back import unreadable_told
from datasites.runs.blobs import BlobStore
from datasites.runs.queue import Run, RunQueue
from policies.answers.runs import CANARY, RunAnswer
from policies.contracts.encodings import largest_size
from policies.contracts.inputs import Ticket, check_weights_file
from policies.errors import RequestAltered, RoundRefused
from policies.ledger import chain_errors
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.server.beside import taken_in

MOST_CANARIES = 10
"""How often a request's canary may run, under its one approval: whoever needs more needs the hospital's people, and not
another try."""


def check_tries(canary: Run, *, again: bool = False) -> None:
    """Refuses a canary that has had its `MOST_CANARIES` turns, whoever asked for them or ended them.

    They are counted in the run queue, which outlives the researcher's sessions and the datasite: a study that is opened
    again and again, or whose canary takes the datasite down with it, has no more.

    Args:
        canary: As the queue knows it; it has begun `attempt` times, this one included where it is its turn.
        again: Whether it is asked for once more.

    Raises:
        RoundRefused: It may not run any more.
    """
    begun = canary.attempt if again else canary.attempt - 1
    if begun >= MOST_CANARIES:
        raise RoundRefused(
            f"This request's canary has run {begun} times and did not pass; it runs no more. Ask the hospital what it "
            "lacks, and submit the plan again once that is mended."
        )


class Admission:
    """The gate between an approved request's call and the run queue."""

    def __init__(
        self,
        *,
        queue: RunQueue,
        blobs: BlobStore,
        ledger: Ledger,
        audit: AuditLog,
        max_update_bytes: int,
    ) -> None:
        self._queue, self._blobs = queue, blobs
        self._ledger, self._audit, self._max_update_bytes = ledger, audit, max_update_bytes

    def __call__(self, approval: Approval, plan_text: str, ticket_text: str) -> RunAnswer:
        """Queues the round that the ticket names and returns the run's public fields.

        Guarantees:
            A round is queued only under an approval of exactly this plan, within its number of rounds, with the
            ledger's chain intact, with weights that are what the plan and its strategy declare for it, and with room
            for its update. A round that has started is queued again with the same weights only, and not at all once it
            has ended: then the run is returned as it ended. A refusal spends nothing.

        Args:
            approval: What the call that asks was found to stand under. The run's start does not rely on it.
            plan_text: The plan that PySyft has pinned.
            ticket_text: The ticket that came with the call.

        Raises:
            WanwuError: With the reason for the refusal.
        """
        chain_errors.check_not_halted(self._ledger.path)
        plan = approval.plan
        if plan_text != plan.to_json():
            raise RequestAltered("The round carries another plan than the hospital approved.")
        ticket = Ticket.parse(ticket_text)
        if ticket.round >= plan.rounds:
            raise RoundRefused(
                f"The hospital approved rounds 1 to {plan.rounds}, the ticket asks for round {ticket.round + 1}. "
                "Submit a new request for more rounds."
            )
        ended = self._has_ended(approval.request_id, ticket)
        weights = self._blobs.path(approval.account, ticket.weights)
        expected = taken_in(plan, ticket.round, approval.inputs)
        with unreadable_told(weights):
            check_weights_file(weights, expected, plan.weights_encoding, max_bytes=self._max_update_bytes)
        run = before = self._queue.find(approval.request_id, ticket.round)
        if run is None or not ended:
            self._blobs.check_room(approval.account, largest_size(approval.outputs, plan.update_encoding))
            run = self._queue.enqueue(
                request_id=approval.request_id,
                round_index=ticket.round,
                account=approval.account,
                weights=ticket.weights,
            )
        if before is None or before.attempt != run.attempt:  # asking again for what is queued or done changes nothing
            self._audit.write("round asked for", request=approval.request_id, round=ticket.round, run=run.id)
        return run.public(queue_position=self._queue.position(run))

    def canary(self, approval: Approval) -> RunAnswer:
        """Queues a request's canary, in turn with the rounds, and returns its public fields.

        One that waits, runs or passed is returned as it is; one that failed or was cancelled is queued again, up to
        `MOST_CANARIES` times in all: each takes a turn of the machine. It spends nothing, whatever becomes of it.

        Args:
            approval: Of the request, as of now.

        Raises:
            RoundRefused: It failed or was cancelled that often.
            BooksBehind: The ledger was halted.
        """
        chain_errors.check_not_halted(self._ledger.path)
        before = self._queue.find(approval.request_id, CANARY)
        if before is not None and before.state in ("failed", "cancelled"):
            check_tries(before, again=True)
        run = self._queue.enqueue(
            request_id=approval.request_id, round_index=CANARY, account=approval.account, weights=""
        )
        if before is None or before.attempt != run.attempt:
            self._audit.write("canary asked for", request=approval.request_id, run=run.id)
        return run.public(queue_position=self._queue.position(run))

    def _has_ended(self, request_id: str, ticket: Ticket) -> bool:
        """Whether the round was charged and gave nothing, so that it never runs again.

        Raises:
            RoundRefused: It has started with other weights.
            LedgerBroken: The ledger does not verify.
        """
        held = self._ledger.reservations().get(request_id)
        if held is None:
            return False
        begun, done = held.started.get(ticket.round), held.committed.get(ticket.round)
        if begun is not None and begun.weights_digest != ticket.weights:
            raise RoundRefused(
                f"Round {ticket.round + 1} was charged when it started with other weights, and runs with no others. "
                "Go on with the next round."
            )
        return done is not None and done.update_digest == NOTHING_LEFT
