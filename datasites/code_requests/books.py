"""The books of a datasite in one value: its limits, decisions, ledger and audit log, and the calculator for sums."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from datasites.approvals.approvals import Approvals
from datasites.audit_log import ledger_witness
from datasites.audit_log.counted_events import CountedEvents
from datasites.audit_log.log import AuditLog
from datasites.code_requests.calculator import Calculator, Sums
from datasites.code_requests.limits.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.rehearsal.rehearsals import Rehearsals
from datasites.state.kept_books import open_audit, open_ledger, seal_of
from policies.budget.steps import GaussianSteps
from policies.errors import WanwuError
from policies.ledger.composed.kept_sums import KeptSums
from policies.ledger.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Books:
    """The books of one datasite, for every part that reads or writes them."""

    limits: HospitalLimits
    approvals: Approvals
    ledger: Ledger
    calculator: Calculator
    audit: AuditLog
    counted: CountedEvents
    rehearsals: Rehearsals

    def witness(self) -> dict[str, str | int]:
        """Details for an audit event that name the ledger's head as it is now."""
        return ledger_witness.head_of(self.ledger)

    def epsilon(self, history: tuple[GaussianSteps, ...]) -> float:
        """What a history costs at the dataset's delta.

        Raises:
            PlanError, RunFailed: That cannot be computed, or not now.
        """
        return self.calculator.epsilon_spent(history, self.limits.current.total.delta)

    def epsilon_charged(self, history: tuple[GaussianSteps, ...]) -> float:
        """Likewise of what is charged, to be shown: the dataset's whole budget where it cannot be computed."""
        try:
            return self.epsilon(history)
        except WanwuError:
            log.exception("what is charged cannot be computed, and is shown as the whole budget")
            return self.limits.current.total.epsilon

    def approved_version(self, request_id: str) -> int | None:
        """Which version of its dataset a request was approved on; None where nothing was reserved for it."""
        held = self.ledger.held(request_id)
        return None if held is None else held.dataset_version

    def epsilon_left(self, fingerprint: str) -> float:
        """What is left of a dataset's total, as a difference of epsilons at its delta: an orientation, not a sum that
        further studies can be added to. Nothing is left where it cannot be computed."""
        history, limits = self.ledger.history(fingerprint), self.limits.current
        try:
            spent = self.epsilon(history)
            if limits.adaptive_filter:
                spent = max(spent, self.calculator.filter_epsilon(history, limits.total))
        except WanwuError:
            log.exception("what is left of a budget cannot be computed, and counts as nothing")
            return 0.0
        return max(limits.total.epsilon - spent, 0.0)

    def foresee_epsilon(self, request_id: str) -> None:
        """Computes what a request will have spent after the round that has begun, so that nobody waits for it then."""
        decision = self.approvals.of_request(request_id)
        if decision is None or decision.approved_plan.privacy is None:
            return
        try:
            self.calculator.epsilon_spent(self.ledger.spent(request_id), decision.approved_plan.privacy.delta)
        except Exception:  # it is computed again, and told, when somebody asks
            log.exception("epsilon of request %s could not be computed ahead", request_id)

    def close(self) -> None:
        """Closes the tables of decisions and rehearsals, after everything else has ended."""
        self.approvals.close()
        self.rehearsals.close()


def open_books(state: StateFolder, config: DatasiteConfig, compute_sums: Callable[[], Sums]) -> Books:
    """The books of a datasite that serves.

    Args:
        state: Its folder.
        config: Its settings.
        compute_sums: Starts the process in which the calculator's sums are done.

    Raises:
        AuditBroken, AuditUnavailable: The audit log does not hold, is missing, or cannot be read.
    """
    audit = open_audit(state)
    calculator = Calculator(compute_sums, KeptSums(state.composed_sums, seal_of(state)))
    return Books(
        limits=HospitalLimits(state, config, audit),
        approvals=Approvals(state.approvals),
        ledger=open_ledger(state, calculator.epsilon_spent, calculator.filter_epsilon),
        calculator=calculator,
        audit=audit,
        counted=CountedEvents(audit),
        rehearsals=Rehearsals(state.rehearsals, on_arrival=config.rehearse_requests, required=config.require_rehearsal),
    )
