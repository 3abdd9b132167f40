"""Fixtures: a ledger whose epsilon a reader reckons by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import hundredth_a_step

from policies.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", hundredth_a_step)
