"""Whether the audit finds a fault: its parts in turn, the one that should find it first, until one does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from datasites.training.privacy_audit import run_audit
from datasites.training.privacy_audit.allocation import allocation_checks
from datasites.training.privacy_audit.canaries import canary_checks, canary_round
from datasites.training.privacy_audit.checks import Check
from datasites.training.privacy_audit.draws import draw_checks
from datasites.training.privacy_audit.gradients import gradient_checks
from datasites.training.privacy_audit.noise import noise_checks
from datasites.training.privacy_audit.subject import Subject
from mutants.catalogue import MUTANTS
from mutants.mutant import Mutant
from policies.errors import NotRepeatable

CLAIM = 1.0


def canaries(subject: Subject) -> list[Check]:
    return canary_checks(canary_round(subject, unit="picture", claimed_epsilon=CLAIM), claimed_epsilon=CLAIM)


PARTS: dict[str, Callable[[Subject], Iterable[Check]]] = {
    "draws": draw_checks,
    "allocation": allocation_checks,
    "gradients": gradient_checks,
    "noise": noise_checks,
    "canaries": canaries,
}


def found_by(mutant: Mutant, engine: str, device: str = "auto") -> str | None:
    """The check that does not hold, or None for a mutant that survives every part."""
    with pytest.MonkeyPatch.context() as patch:
        mutant.build_in(patch)
        for part in sorted(PARTS, key=lambda name: name != mutant.part):
            try:
                found = next((c.name for c in PARTS[part](Subject(engine=engine, device=device)) if not c.holds), None)
            except NotRepeatable:
                return "a run's own look at its device"
            if found is not None:
                return found
    return None


def found_by_name(name: str, engine: str, device: str) -> str | None:
    """As `found_by`, for a process of its own: mutants do not travel, their names do."""
    return found_by(next(mutant for mutant in MUTANTS if mutant.name == name), engine, device)


def false_alarms(number: int, engines: Sequence[str], device: str) -> list[str]:
    """The checks that do not hold for sound training: with luck none. Every second audit is of patients."""
    unit, alarms = ("picture", "patient")[number % 2], []
    for engine in engines:
        result = run_audit(engine=engine, unit=unit, device=device)
        alarms += [f"{check.name} ({engine})" for check in result.checks if not check.holds]
    return alarms
