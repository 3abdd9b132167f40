"""Lists and cards that an officer looks at: the process that lays an answer out imports nothing that made it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.console_pages import ADMIN_NAME, ConsoleOfFakes, serving
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

# What answers are made with, each tens of milliseconds to import.
NOT_FOR_A_CARD = {
    *("numpy", "torch", "syft", "sqlalchemy", "cryptography"),
    *("datasites.code_requests.books", "policies.ledger.ledger", "policies.ledger.receipt"),
}
NOT_FOR_A_LIST = NOT_FOR_A_CARD | {
    "datasites.approvals.approvals",
    "datasites.audit_log.index",
    "datasites.review.review",
    "policies.ledger.reservations",
    "policies.plans.training",
}
PROGRAM = """
import json, sys
from datasites.cli import main
status = main(sys.argv[2:])
open(sys.argv[1], "w").write(json.dumps([status, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOfFakes]:
    with serving(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def own_file(served: ConsoleOfFakes, tmp_path: Path) -> Path:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"url": served.url, "token": served.tokens[ADMIN_NAME]}))
    return file


def called(own_file: Path, *words: str) -> tuple[str, set[str]]:
    """What a command printed, ending well in a process of its own, and all that it has imported."""
    told = own_file.with_name("told.json")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(told), *words, "--as", str(own_file)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(told.read_text())
    assert status == 0, done.stdout + done.stderr
    return done.stdout, set(modules)


@pytest.mark.parametrize("words", ["requests", "runs", "budget", "limits", "researchers", "staff list"])
def test_a_list_is_laid_out_without_what_it_was_made_with(own_file: Path, words: str) -> None:
    printed, found = called(own_file, *words.split())
    assert printed.strip() and "rich.table" in found
    assert sorted(NOT_FOR_A_LIST & found) == []


def test_a_card_is_laid_out_without_what_it_was_made_with(own_file: Path) -> None:
    listed, _ = called(own_file, "requests", "--json")
    request = json.loads(listed)[-1]["id"]
    printed, found = called(own_file, "show", request)
    assert request[:8] in printed
    assert sorted(NOT_FOR_A_CARD & found) == []
