"""The contents of a receipt: digests, the approved plan and the counted steps. Made to leave the hospital.

It holds no value of a picture, no true count and no time of a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from policies import validate
from policies.budget.steps import GaussianSteps, merged
from policies.errors import PlanError
from policies.plans.plan_json import canonical_json
from policies.plans.training import UNITS

RECEIPT_VERSION = 1
STATES = ("approved", "ended")


@dataclass(frozen=True)
class RoundEntry:
    """One round that was charged.

    Attributes:
        round: From 0.
        noise_multiplier: As for the accountant; None without differential privacy, like the next two.
        sample_rate: Probability that a privacy unit joined a step.
        steps: How many steps.
        update_digest: SHA-256 of the update that the round gave: of the bytes that left, in the plan's encoding; of no
            bytes where it gave none.
        allocated_over: As for the accountant: with random allocation, the steps of an epoch; else 0, and not written.
    """

    round: int
    noise_multiplier: float | None
    sample_rate: float | None
    steps: int | None
    update_digest: str
    allocated_over: int = 0

    def __post_init__(self) -> None:
        validate.integer("rounds.round", self.round, low=0, high=10**6)
        validate.digest("rounds.update_digest", self.update_digest)
        if spend := self.spend:
            object.__setattr__(self, "noise_multiplier", spend.noise_multiplier)
            object.__setattr__(self, "sample_rate", spend.sample_rate)

    @property
    def spend(self) -> GaussianSteps | None:
        """What the round spent; None without differential privacy."""
        if self.noise_multiplier is None and self.sample_rate is None and self.steps is None:
            validate.integer("rounds.allocated_over", self.allocated_over, low=0, high=0)
            return None
        # One of them may still be None here; GaussianSteps refuses that by name.
        numbers: Any = (self.noise_multiplier, self.sample_rate, self.steps, self.allocated_over)
        return GaussianSteps(*numbers)

    def to_dict(self) -> dict[str, object]:
        """Plain values in reading order, for JSON."""
        values = asdict(self)
        if not self.allocated_over:
            del values["allocated_over"]
        return values


@dataclass(frozen=True)
class Receipt:
    """What one approved request ran and spent at one datasite.

    Attributes:
        datasite: Its name.
        request_id: Of the code request.
        study: Name of the study.
        researcher: Who asked.
        dataset: Its name.
        dataset_mark: Tells the datasite's datasets apart; see `policies.ledger.receipt.dataset_mark`.
        unit: The dataset's privacy unit: a `picture`, or a `patient` with all their pictures.
        plan: The approved plan, as plain values.
        plan_digest: SHA-256 of its canonical JSON.
        approver: Who approved it, for the hospital.
        approved_at: When: ISO 8601, with its time zone.
        approval_digest: Over all that the approval covered.
        rounds: The rounds that were charged, in order.
        epsilon: What they spent together at `delta`, per privacy unit; None without differential privacy.
        delta: At which epsilon is stated; None without differential privacy.
        state: `approved` while more rounds may follow, `ended` when none can.
        versions: Package → version at the datasite; also `sbom`, the digest of its bill of materials.
        audit_head: Hash of the last entry of the datasite's event log when the receipt was issued.
        issued_at: When: ISO 8601, with its time zone.
        version: Of this format.
    """

    datasite: str
    request_id: str
    study: str
    researcher: str
    dataset: str
    dataset_mark: str
    unit: str
    plan: Mapping[str, Any] = field(hash=False)
    plan_digest: str
    approver: str
    approved_at: str
    approval_digest: str
    rounds: tuple[RoundEntry, ...]
    epsilon: float | None
    delta: float | None
    state: str
    versions: Mapping[str, str] = field(hash=False)
    audit_head: str
    issued_at: str
    version: int = RECEIPT_VERSION

    def __post_init__(self) -> None:
        validate.integer("version", self.version, low=RECEIPT_VERSION, high=RECEIPT_VERSION)
        for name in ("datasite", "study", "dataset"):
            validate.name(name, getattr(self, name))
        for name in ("request_id", "researcher", "approver"):
            _text(name, getattr(self, name))
        for name in ("dataset_mark", "plan_digest", "approval_digest", "audit_head"):
            validate.digest(name, getattr(self, name))
        for name in ("approved_at", "issued_at"):
            _time(name, getattr(self, name))
        validate.choice("unit", self.unit, UNITS)
        validate.choice("state", self.state, STATES)
        if self.epsilon is not None:
            object.__setattr__(self, "epsilon", validate.number("epsilon", self.epsilon, low=0, high=1e6))
        if self.delta is not None:
            delta = validate.number("delta", self.delta, low=0, high=0.1, open_low=True)
            object.__setattr__(self, "delta", delta)
        for package, installed in self.versions.items():
            _text("versions", package)
            _text(f"versions.{package}", installed)
        # Sorted, so that equal receipts have one text.
        object.__setattr__(self, "plan", MappingProxyType(json.loads(canonical_json(dict(self.plan)))))
        object.__setattr__(self, "versions", MappingProxyType(dict(sorted(self.versions.items()))))
        object.__setattr__(self, "rounds", tuple(self.rounds))

    @property
    def spend(self) -> tuple[GaussianSteps, ...]:
        """What all rounds spent, for the accountant."""
        return merged(entry.spend for entry in self.rounds if entry.spend is not None)

    def to_dict(self) -> dict[str, object]:
        """Plain values in reading order, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["plan"], values["versions"] = dict(self.plan), dict(self.versions)
        values["rounds"] = [entry.to_dict() for entry in self.rounds]
        return {"version": values.pop("version"), **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` writes.

        Raises:
            PlanError, LookupError, TypeError, AttributeError, ValueError: It is anything else.
        """
        return cls(**{**values, "rounds": tuple(RoundEntry(**entry) for entry in values["rounds"])})


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise PlanError(f"{name} must be 1 to 200 printable characters, got {value!r:.80}.")


def _time(name: str, value: object) -> None:
    try:
        stamp = datetime.fromisoformat(str(value))
    except ValueError:
        stamp = None
    if stamp is None or stamp.tzinfo is None or not isinstance(value, str):
        raise PlanError(f"{name} must be a time in ISO 8601 with its time zone, got {value!r:.80}.")
