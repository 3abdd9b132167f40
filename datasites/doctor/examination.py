"""Looks a datasite over, from its programs to its books; changes nothing. For the hospital's admin only.

A check is a function that yields findings. What it raises is a problem like any other: a check that cannot be carried
out has not been passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from datasites.doctor import books, machine, network
from datasites.doctor.finding import PROBLEM, Check, Finding, Patient
from policies.errors import WanwuError

CHECKS: tuple[Check, ...] = (
    machine.programs,
    machine.clock,
    machine.disk,
    machine.memory,
    machine.gpu,
    machine.sandbox,
    books.settings,
    books.rights,
    books.dataset,
    books.ledger,
    books.audit,
    books.agreeing,
    books.backups,
    network.ports,
    network.certificates,
    network.processes,
)


def examine(patient: Patient, checks: tuple[Check, ...] = CHECKS) -> Iterator[Finding]:
    """Carries out all checks, one after the other."""
    for check in checks:
        try:
            yield from check(patient)
        except WanwuError as error:
            yield Finding(check.__name__, PROBLEM, f"{error.code}: {error.public}", error.private)
        except Exception as error:  # noqa: BLE001 - a check that fails in any way is not passed
            text = f"it could not be checked: {type(error).__name__}: {error}"
            yield Finding(check.__name__, PROBLEM, text, "Look at the cause, then run the doctor again.")
