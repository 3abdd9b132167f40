"""What contributors are told of the checks is what the checks do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from support.files_in_turn import LONGEST, SHARED, TESTS, scope_of, turn_of

PROJECT = Path(__file__).resolve().parents[1]
MAKEFILE = (PROJECT / "Makefile").read_text()
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def fast_places() -> list[Path]:
    """What `make test-fast` runs."""
    listed = re.search(r"^GOVERNANCE := (\S+) (\S+) \$\(addprefix (\S+),([\w ]+)\)$", MAKEFILE, re.MULTILINE)
    assert listed
    return [PROJECT / one for one in (listed[1], listed[2], *(listed[3] + room for room in listed[4].split()))]


def test_the_fast_tests_need_no_running_hospital() -> None:
    files = [file for place in fast_places() for file in ([place] if place.is_file() else place.rglob("*.py"))]
    assert len(files) > 20
    starts = re.compile(r"\b(make_hospital|running)\b.*import|import.*\b(make_hospital|running)\b|end_to_end")
    assert [file.name for file in files if starts.search(file.read_text())] == []


def test_the_floor_is_under_the_rooms_whose_tests_are_run_and_is_the_one_that_is_told() -> None:
    measured = SETTINGS["tool"]["coverage"]["run"]["source"]
    assert all((PROJECT / room / "__init__.py").is_file() for room in measured)
    tested = {place.name for place in fast_places()}
    assert {Path(room).name for room in measured} - {"approvals"} <= tested  # whose tests are those of the requests
    floor = SETTINGS["tool"]["coverage"]["report"]["fail_under"]
    assert f"less than {floor} %" in (PROJECT / "CONTRIBUTING.md").read_text()


def test_ci_checks_what_contributing_says_and_the_readmes_test_command() -> None:
    told = (PROJECT / "CONTRIBUTING.md").read_text()
    run = re.findall(r"make [a-z-]+", (PROJECT / ".ci" / "run").read_text())
    assert run == ["make check", "make test"]
    assert "CI runs `make check` and `make test`, in this order." in told
    assert "make test\n" in (PROJECT / "README.md").read_text()


def test_files_that_share_hospitals_go_to_one_process_and_each_other_file_to_its_own() -> None:
    scopes = {file.stem: scope_of(f"tests/end_to_end/{file.name}") for file in (TESTS / "end_to_end").glob("test_*.py")}
    assert (scopes["test_study"], scopes["test_refusals"], scopes["test_features"]) == (
        "hospitals",
        "hospitals",
        "pair",
    )
    assert scopes["test_kills"] == "tests/end_to_end/test_kills.py"
    assert (
        scope_of("tests/docs/test_tutorial_first_hospital.py") == "tests/docs/test_tutorial_first_hospital.py"
    )  # its hospitals are its own
    assert scope_of("tests/datasites/runs/test_gpu_queue.py") == "fork_server"
    fixtures = "".join((TESTS / place / "conftest.py").read_text() for place in ("end_to_end", "datasites/runs"))
    assert all(f'@pytest.fixture(scope="session")\ndef {name}(' in fixtures for name in set().union(*SHARED.values()))


def test_the_longest_files_come_first() -> None:
    assert all(list(TESTS.glob(f"{start}*")) for start in LONGEST)
    files = [
        TESTS / "test_habits.py",
        TESTS / "docs" / "test_tutorial_first_hospital.py",
        TESTS / "end_to_end" / "test_kills.py",
    ]
    assert sorted(files, key=turn_of) == files[::-1]
