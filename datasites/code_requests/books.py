"""What a datasite remembers and reckons with: its limits, decisions, ledger and audit log, and who does the sums."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.approvals.approvals import Approvals
from datasites.audit_log import ledger_witness
from datasites.audit_log.counted_events import CountedEvents
from datasites.audit_log.log import AuditLog
from datasites.code_requests.calculator import Calculator
from datasites.code_requests.hospital_limits import HospitalLimits
from policies.budget.steps import GaussianSteps
from policies.ledger.ledger import Ledger


@dataclass(frozen=True)
class Books:
    """The books of one datasite, for every part that reads or writes them."""

    limits: HospitalLimits
    approvals: Approvals
    ledger: Ledger
    calculator: Calculator
    audit: AuditLog
    counted: CountedEvents

    def witness(self) -> dict[str, str | int]:
        """Details for an audit event that name the ledger's head as it is now."""
        return ledger_witness.head_of(self.ledger)

    def epsilon(self, history: tuple[GaussianSteps, ...]) -> float:
        """What a history costs at the dataset's delta."""
        return self.calculator.epsilon_spent(history, self.limits.current.total.delta)

    def epsilon_left(self, fingerprint: str) -> float:
        """What is left of a dataset's total, as a difference of epsilons at its delta: an orientation, not a sum that
        further studies can be added to."""
        history, limits = self.ledger.history(fingerprint), self.limits.current
        spent = self.epsilon(history)
        if limits.adaptive_filter:
            spent = max(spent, self.calculator.filter_epsilon(history, limits.total))
        return max(limits.total.epsilon - spent, 0.0)
