"""Looks a datasite over, from its programs to its books; changes nothing. For the hospital's admin only.

One line it leaves: the researchers' port counts the look at itself as a connection refused. That is wanted: a peer that
says nothing could be told apart by nobody, and a stranger who looks for open ports is to show in the audit log.

A check is a function that yields findings. What it raises is a problem like any other: a check that cannot be carried
out has not been passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from datasites.doctor import cluster, dataset_checks, machine, network, state_checks
from datasites.doctor.finding import PROBLEM, Check, ExaminedDatasite, Finding
from policies.errors import WanwuError

CHECKS: tuple[Check, ...] = (
    machine.programs,
    machine.clock,
    machine.disk,
    machine.memory,
    machine.gpu,
    machine.sandbox,
    cluster.slurm,
    state_checks.settings,
    state_checks.rights,
    state_checks.database,
    dataset_checks.dataset,
    dataset_checks.withdrawals,
    state_checks.ledger,
    state_checks.audit,
    state_checks.agreeing,
    state_checks.backups,
    network.ports,
    network.certificates,
    network.processes,
)


def examine(examined: ExaminedDatasite, checks: tuple[Check, ...] = CHECKS) -> Iterator[Finding]:
    """Carries out all checks, one after the other. What two of them fail with is told whole at the first."""
    told: dict[tuple[str, str, str], str] = {}
    for check in checks:
        name = check.__name__
        try:
            yield from check(examined)
        except WanwuError as error:
            first = told.setdefault((error.code, error.public, error.private), name)
            if first == name:
                yield Finding(name, PROBLEM, f"{error.code}: {error.public}", error.private)
            else:
                yield Finding(name, PROBLEM, f"it could not be checked: {error.code}, as told at '{first}'")
        except Exception as error:  # noqa: BLE001 - a check that fails in any way is not passed
            text = f"it could not be checked: {type(error).__name__}: {error}"
            yield Finding(name, PROBLEM, text, "Look at the cause, then run the doctor again.")
