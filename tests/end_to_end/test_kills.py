"""Kills at random moments of reserve, run and commit, at real datasites. See under_fire.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.under_fire import studies_under_fire


@pytest.mark.parametrize(
    ("kills", "rounds", "seed"),
    [(3, 6, 4), pytest.param(60, 25, 2, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
    ids=["a few", "many"],
)
def test_kills_at_any_moment_lose_no_round_and_leave_no_less_charged_than_spent(
    tmp_path: Path, kills: int, rounds: int, seed: int
) -> None:
    counts = studies_under_fire(tmp_path, names=("east",), kills=kills, rounds=rounds, seed=seed, forked=kills < 10)
    assert counts.datasites_killed + counts.runners_killed >= kills
    assert counts.datasites_killed > 0  # of these seeds' first three kills, one at least
    assert counts.rounds > 0
    assert (counts.rounds_lost, counts.budget_mismatches, counts.wrong_models, counts.orphans) == (0, 0, 0, 0)
