"""Fixtures: a ledger whose epsilon a reader reckons by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ledgers import ledger_at

from policies.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "ledger.sqlite")
