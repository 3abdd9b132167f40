"""Composed costs are kept on the disk under all that they follow from, and a line that was cut or changed is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import policies.budget
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps
from policies.ledger.composed import kept_sums
from policies.ledger.composed.kept_sums import KeptSums
from policies.ledger.seal import Seal

SEAL = Seal(b"s" * 32)
ONE, TWO = (GaussianSteps(2.0, 0.1, 100),), (GaussianSteps(2.0, 0.1, 101),)
DELTA = 1e-5
VALUE = 0.1 + 0.2  # whose last bit no decimal of fifteen digits keeps


def kept(folder: Path, seal: Seal | None = SEAL) -> KeptSums:
    return KeptSums(folder / "sums.jsonl", seal)


def test_a_sum_is_found_again_to_the_last_bit_and_under_its_own_values_alone(tmp_path: Path) -> None:
    assert kept(tmp_path).get("epsilon_spent", ONE, DELTA) is None
    kept(tmp_path).keep("epsilon_spent", ONE, DELTA, VALUE)
    again = kept(tmp_path)
    assert again.get("epsilon_spent", ONE, DELTA) == VALUE
    assert again.get("epsilon_spent", TWO, DELTA) is None and again.get("epsilon_spent", ONE, 1e-6) is None
    assert again.get("filter_epsilon", ONE, DELTA) is None
    assert again.get("epsilon_spent", ONE, PrivacyBudget(8.0, DELTA)) is None
    allocated = (GaussianSteps(2.0, 0.1, 100, 10),)
    assert again.get("epsilon_spent", allocated, DELTA) is None
    assert (tmp_path / "sums.jsonl").stat().st_mode & 0o777 == 0o600


def test_other_code_or_libraries_find_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path).keep("epsilon_spent", ONE, DELTA, VALUE)
    monkeypatch.setattr(kept_sums, "_computed_by", lambda: "another release")
    assert kept(tmp_path).get("epsilon_spent", ONE, DELTA) is None


def test_a_sum_of_code_that_was_imported_is_none_of_an_upgrade_that_came_onto_the_disk_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "accountant.py"
    monkeypatch.setattr(policies.budget, "__path__", [str(tmp_path)])
    kept_sums._computed_by.cache_clear()
    try:
        code.write_text("first")
        running = kept(tmp_path)
        code.write_text("upgraded")
        running.keep("epsilon_spent", ONE, DELTA, VALUE)
        assert running.get("epsilon_spent", ONE, DELTA) == VALUE
        kept_sums._computed_by.cache_clear()
        assert kept(tmp_path).get("epsilon_spent", ONE, DELTA) is None
        kept_sums._computed_by.cache_clear()
        code.write_text("first")
        assert kept(tmp_path).get("epsilon_spent", ONE, DELTA) == VALUE
    finally:
        kept_sums._computed_by.cache_clear()


def test_a_line_that_was_cut_or_changed_or_is_of_another_datasite_is_none(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    kept(tmp_path).keep("epsilon_spent", ONE, DELTA, VALUE)
    content = file.read_bytes()
    lower = {**json.loads(content), "is": (0.01).hex()}
    for changed in (content[:-1], content[:40], b"", b"\xff\x00[[[", b"[]", b"7", json.dumps(lower).encode()):
        file.write_bytes(changed)
        assert kept(tmp_path).get("epsilon_spent", ONE, DELTA) is None
    file.write_bytes(content)
    assert kept(tmp_path, Seal(b"o" * 32)).get("epsilon_spent", ONE, DELTA) is None
    file.write_bytes(content[:-9])
    kept(tmp_path).keep("epsilon_spent", TWO, DELTA, 1.5)  # behind a line that a power cut tore
    assert kept(tmp_path).get("epsilon_spent", TWO, DELTA) == 1.5


def test_a_long_file_begins_anew_with_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_sums, "MOST_SUMS", 10)
    histories = [(GaussianSteps(2.0, 0.1, steps),) for steps in range(1, 12)]
    first = kept(tmp_path)
    for index, history in enumerate(histories):
        first.keep("epsilon_spent", history, DELTA, float(index))
    again = kept(tmp_path)
    found = [again.get("epsilon_spent", history, DELTA) for history in histories]
    assert found == [None] * 6 + [6.0, 7.0, 8.0, 9.0, 10.0]
    assert (tmp_path / "sums.jsonl").read_bytes().count(b"\n") == 4


def test_a_disk_that_takes_nothing_and_a_datasite_without_a_seal_keep_nothing_and_go_on(tmp_path: Path) -> None:
    unwritable = KeptSums(tmp_path / "missing" / "sums.jsonl", SEAL)
    unwritable.keep("epsilon_spent", ONE, DELTA, VALUE)
    assert unwritable.get("epsilon_spent", ONE, DELTA) is None
    unsealed = kept(tmp_path, None)
    unsealed.keep("epsilon_spent", ONE, DELTA, VALUE)
    assert unsealed.get("epsilon_spent", ONE, DELTA) is None and not (tmp_path / "sums.jsonl").exists()
