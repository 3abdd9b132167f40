"""A ledger as the console's pages show it: two researchers' studies over three months, with sums done by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.ledgers import FINGERPRINT, commit, ledger_at, reserve

from policies.budget.steps import GaussianSteps, merged
from policies.ledger.budget_check import charged
from policies.ledger.chain import Entry
from policies.ledger.reservations import reservations

DATASET = "chest-xrays"
# Days ago → how much of the ledger had been written by then: see `_written`.
_DAYS = (90, 78, 77, 64, 63, 50, 30, 29, 12, 9, 8, 2)


def hundredth(history: Iterable[GaussianSteps]) -> float:
    """Epsilon 0.01 a step."""
    return sum(part.steps for part in history) / 100


@cache
def _written() -> tuple[Entry, ...]:
    """Two studies that have ended, and one under way."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = ledger_at(Path(folder) / "ledger.sqlite")
        for study, researcher, count, rounds in (
            ("cardiomegaly-baseline", "ada.lindqvist@uni-uppsala.example", 140, 3),
            ("night-shift", "b.moreau@chu.example", 120, 1),
            ("pneumonia-follow-up", "ada.lindqvist@uni-uppsala.example", 160, 2),
        ):
            reserve(ledger, study, count, study=study, researcher=researcher, dataset=DATASET)
            for index in range(rounds):
                commit(ledger, study, index, count // 4)
            if study != "pneumonia-follow-up":
                ledger.release(study, "the study is done")
        return ledger.entries()


@cache
def entries() -> tuple[Entry, ...]:
    """The ledger's entries, spread over days as if they had been written then."""
    written, now = _written(), datetime.now(UTC)
    days = [_DAYS[index * len(_DAYS) // len(written)] for index in range(len(written))]
    at = [(now - timedelta(days=day)).isoformat() for day in days]
    return tuple(replace(one, at=when) for one, when in zip(written, at, strict=True))


def fake_ledger() -> Any:
    """What the console asks a ledger for."""
    held = reservations(entries())
    return SimpleNamespace(
        verify=lambda: None,
        entries=entries,
        reservations=lambda: dict(held),
        history=lambda fingerprint, **_: merged(charged(held.values())) if fingerprint == FINGERPRINT else (),
    )


def fake_dataset(*, dataset_version: int = 1, **told: Any) -> Any:
    """The dataset whose budget that ledger keeps, with what else is told of it."""
    return SimpleNamespace(manifest=SimpleNamespace(budget_key=FINGERPRINT, dataset_version=dataset_version), **told)
