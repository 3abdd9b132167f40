"""Ledgers for tests: one dataset, one researcher, and an accountant whose sums a reader does by hand."""

from __future__ import annotations

from pathlib import Path

from policies.budget.accountant import GaussianSteps
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.ledger.budget_check import Accountant
from policies.ledger.chain import Chain
from policies.ledger.ledger import Ledger
from policies.ledger.seal import Seal

FINGERPRINT, OTHER_FINGERPRINT = "a" * 64, "b" * 64
UPDATE, OTHER_UPDATE = "1" * 64, "2" * 64
WEIGHTS, OTHER_WEIGHTS = "3" * 64, "4" * 64
LIMITS = DatasetLimits(PrivacyBudget(8.0, 1e-5))
SEAL = Seal(b"s" * 32)


def steps(count: int, noise: float = 1.0) -> GaussianSteps:
    return GaussianSteps(noise, 0.1, count)


def hundredth_a_step(history: object, delta: float) -> float:
    """An accountant to check by hand: epsilon 0.01 a step."""
    return sum(part.steps for part in history) / 100  # type: ignore[attr-defined]


def ledger_at(path: Path, accountant: Accountant = hundredth_a_step) -> Ledger:
    """The ledger at `path`, sealed, begun if there is none yet."""
    if not path.exists():
        Chain.begin(path, SEAL)
    return Ledger(path, accountant, seal=SEAL)


def reserve(ledger: Ledger, request_id: str, count: int, **changes: object) -> object:
    wanted = {
        "fingerprint": FINGERPRINT,
        "dataset": "chest-xray",
        "request_id": request_id,
        "study": "pneumonia",
        "researcher": "ada@example.org",
        "plan_digest": "c" * 64,
        "spend": (steps(count),) if count else (),
        "rounds": 4,
        "limits": LIMITS,
        **changes,
    }
    return ledger.reserve(**wanted)  # type: ignore[arg-type]


def start(ledger: Ledger, request_id: str, index: int, count: int, weights: str = WEIGHTS) -> None:
    ledger.start(request_id=request_id, round_index=index, spend=steps(count), weights_digest=weights)


def commit(ledger: Ledger, request_id: str, index: int, count: int, update: str = UPDATE) -> None:
    """A whole round: started unless it was, and ended."""
    if ledger.committed(request_id, index) is None:
        start(ledger, request_id, index, count)
    ledger.commit(request_id=request_id, round_index=index, update_digest=update)
