"""Real processes on one ledger: racing for what is left, and killed at any moment. See ledger_racers.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import policies

RACERS = Path(__file__).resolve().parents[2] / "support" / "ledger_racers.py"
PROCESSES = 64
ROOM = 10


def run_racers(what: str, path: Path, count: int, seed: int = 0) -> dict[str, int]:
    root = str(Path(policies.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, str(RACERS), what, str(path), str(count), str(seed)],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, int] = json.loads(ran.stdout)
    return answer


@pytest.mark.parametrize(
    "repetitions", [3, pytest.param(20, marks=pytest.mark.slow)], ids=["a few times", "many times"]
)
def test_of_64_processes_racing_for_room_for_ten_exactly_ten_reserve(tmp_path: Path, repetitions: int) -> None:
    for repetition in range(repetitions):
        path = tmp_path / str(repetition) / "ledger.sqlite"
        path.parent.mkdir()
        assert run_racers("race", path, PROCESSES) == {"reserved": ROOM}


@pytest.mark.slow
def test_of_64_processes_racing_under_the_real_accountant_exactly_ten_reserve(tmp_path: Path) -> None:
    assert run_racers("race-prv", tmp_path / "ledger.sqlite", PROCESSES) == {"reserved": ROOM}


@pytest.mark.parametrize(
    ("kills", "seed"), [(20, 1), pytest.param(100, 2, marks=pytest.mark.slow)], ids=["a few", "many"]
)
def test_a_kill_at_any_moment_leaves_a_whole_ledger_with_no_less_charged_than_spent(
    tmp_path: Path, kills: int, seed: int
) -> None:
    seen = run_racers("kill", tmp_path / "ledger.sqlite", kills, seed)
    assert seen["kills"] == kills
    assert seen["reserved"] > 0
    assert seen["committed"] > 0
