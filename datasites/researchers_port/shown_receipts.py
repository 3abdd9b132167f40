"""Receipts of rounds: given with a round's end, and shown again by researchers, which tells books that were put back.

Older copies of all books at once agree with each other, and only what has left the hospital shows that they are old. A
receipt that this datasite has signed, of a round that its ledger does not hold, halts the ledger for good.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from datasites.audit_log.ledger_witness import is_witness, last_settled
from datasites.code_requests.books import Books
from policies.contracts.round_receipt import RoundReceipt
from policies.errors import AuditUnavailable, BooksBehind
from policies.ledger import chain_errors

log = logging.getLogger(__name__)
BOOKS_BEHIND = "books behind"


@dataclass(frozen=True)
class ShownReceipts:
    """The receipts of one datasite's rounds.

    Attributes:
        seed: The datasite's ed25519 seed, 32 bytes.
        books: Its books.
    """

    seed: bytes
    books: Books

    def of(self, request_id: str, round_index: int) -> str:
        """The signed receipt of a round that has ended; empty where the ledger holds no end of it."""
        update = self.books.ledger.committed(request_id, round_index)
        if update is None:
            return ""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return RoundReceipt(request_id, round_index, update, at).signed(self.seed)

    def check(self, text: str, by: str) -> None:
        """Returns if the books are not known to be older ones than they were.

        Guarantees:
            Only what this datasite's key has signed counts, and it changes nothing while the ledger holds the round, or
            has it charged in full since a restore. Anything else is as if nothing had been shown. Once the ledger was
            seen to lack a round, nothing is appended to it any more, by any process, and none of this datasite's
            requests is answered, until it is restored.

        Args:
            text: What a researcher showed; may be empty.
            by: Who did, for the hospital's people.

        Raises:
            BooksBehind: The ledger lacks what the receipt states, now or seen earlier.
            LedgerUnavailable: It does, and the disk takes no mark that says so.
            LedgerBroken: The ledger does not verify.
        """
        ledger = self.books.ledger
        chain_errors.check_not_halted(ledger.path)
        receipt = RoundReceipt.own(text, self.seed) if text else None
        if receipt is None or self._is_counted(receipt):
            return
        told: dict[str, str | int] = {
            "request": receipt.request,
            "round": receipt.round + 1,
            "update": receipt.update,
            "signed_at": receipt.at,
        }
        is_new = chain_errors.halt(ledger.path, told)
        try:
            chain_errors.check_not_halted(ledger.path)
        except BooksBehind as error:
            if is_new:
                self._write_down(error, {"by": by, **told})
            raise

    def _write_down(self, error: BooksBehind, told: Mapping[str, str | int]) -> None:
        log.critical("%s", error.private)
        try:
            self.books.audit.write(BOOKS_BEHIND, **told, **self.books.witness())
        except AuditUnavailable as unwritten:  # the ledger stands still all the same
            log.critical("it is not in the audit log: %s", unwritten.private)

    def _is_counted(self, receipt: RoundReceipt) -> bool:
        """Whether the ledger holds the round's end, or what it spent within what a restore has charged for good."""
        held = self.books.ledger.held(receipt.request)
        if held is not None:
            done = held.committed.get(receipt.round)
            if done is not None and done.update_digest == receipt.update:
                return True
            decision = self.books.approvals.of_request(receipt.request)
            # Ended and never released, as a restore leaves it: the whole of it is charged, and nothing of it runs.
            if decision is not None and decision.decision == "ended" and held.released is None:
                return True
            if decision is not None and decision.decision == "approved":
                return False
        return self._settled is not None and datetime.fromisoformat(receipt.at) < self._settled

    @cached_property
    def _settled(self) -> datetime | None:
        """No restore is made of a folder that is served: read once."""
        return last_settled(self.books.audit.read(is_witness).entries)
