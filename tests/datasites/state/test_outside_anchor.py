"""Receipts that have left the hospital show books that were rewritten, also by somebody who has the key."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.books import ledger_of, run_round

from datasites.approvals.approvals import Approvals
from datasites.audit_log import ledger_witness
from datasites.cli.program import main
from datasites.code_requests.books import Books
from datasites.code_requests.receipts import Receipts
from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities
from datasites.state.backup import back_up
from datasites.state.kept_books import open_audit
from datasites.state.outside_anchor import compare, find_receipts
from datasites.state.restore import Since, restore
from policies.budget.accountant import epsilon_spent
from policies.errors import ConfigError


def issue(state: StateFolder, folder: Path, name: str) -> Path:
    """A receipt of study one as it stands now, as a researcher keeps it."""
    approvals = Approvals(state.approvals)
    unused: Any = None
    calculator: Any = SimpleNamespace(epsilon_spent=epsilon_spent)
    books = Books(unused, approvals, ledger_of(state), calculator, open_audit(state), unused, unused)
    text = Receipts("north", bytes.fromhex(identities.load(state).signing_seed), books).issue("one")
    approvals.close()
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.receipt.json"
    file.write_text(text)
    return file


def test_receipts_of_whole_books_agree(state: StateFolder, tmp_path: Path) -> None:
    first = issue(state, tmp_path / "kept", "after-two-rounds")
    run_round(state, "one", 2)
    issue(state, tmp_path / "kept", "after-three-rounds")
    found = list(compare(state, find_receipts([tmp_path / "kept"])))
    assert len(found) == 2
    assert all(one.own and one.missing == () for one in found)
    assert next(compare(state, [first])).told.startswith("pneumonia of ada@example.org, 2 rounds")


def test_the_entry_that_a_receipt_names_names_the_ledgers_end(state: StateFolder, tmp_path: Path) -> None:
    receipt = json.loads(issue(state, tmp_path / "kept", "one").read_text())["receipt"]
    event = json.loads(state.audit.read_text().splitlines()[-1])
    assert event["hash"] == receipt["audit_head"]
    assert (event[ledger_witness.ENTRIES], event[ledger_witness.HEAD]) == ledger_of(state).head()


def test_a_receipt_shows_books_that_know_less_than_it(state: StateFolder, tmp_path: Path) -> None:
    """All books go back together, with the key: nothing in the folder can tell."""
    back_up(state, tmp_path / "backups")
    run_round(state, "one", 2)
    receipt = issue(state, tmp_path / "kept", "one")
    older = restore(tmp_path / "backups", tmp_path / "older", since=Since.NOTHING).state
    (found,) = compare(older, [receipt])
    assert found.own
    assert "the audit log does not hold the entry that it names" in found.missing[0]
    assert found.missing[1] == "the ledger has not charged its round 3, or charged another"


def test_a_receipt_shows_a_round_that_was_charged_for_less(state: StateFolder, tmp_path: Path) -> None:
    """The books run on from an earlier day: the same round with another update."""
    back_up(state, tmp_path / "backups")
    other = restore(tmp_path / "backups", tmp_path / "other", since=Since.NOTHING).state
    run_round(state, "one", 2)
    receipt = issue(state, tmp_path / "kept", "one")
    ledger_of(other).release("one", "it ended")
    (found,) = compare(other, [receipt])
    assert any("round 3" in what for what in found.missing)


def test_a_receipt_of_another_datasite_says_nothing(
    state: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = issue(state, tmp_path / "kept", "one")
    other = StateFolder(tmp_path / "south")
    identities.load_or_create(other)
    (found,) = compare(other, [receipt])
    assert not found.own
    other.config.write_text('name = "south"')
    assert main(["ledger", "verify", "--state", str(other.path), "--receipts", str(receipt)]) == 1
    assert "nothing was compared" in capsys.readouterr().err


def test_the_command_ends_with_1_where_a_receipt_does_not_lie_on_the_books(
    state: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back_up(state, tmp_path / "backups")
    run_round(state, "one", 2)
    issue(state, tmp_path / "kept", "one")
    command = ["ledger", "verify", "--receipts", str(tmp_path / "kept"), "--state"]
    assert main([*command, str(state.path)]) == 0
    assert "ok      " in capsys.readouterr().out
    older = restore(tmp_path / "backups", tmp_path / "older", since=Since.NOTHING).state
    assert main([*command, str(older.path)]) == 1
    said = capsys.readouterr()
    assert "PROBLEM" in said.out and "WW830" in said.err


def test_a_folder_without_receipts_is_not_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="receipts, or a folder that holds some"):
        find_receipts([tmp_path])
