"""The layers of the architecture, read from the code's own imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("policies", "datasites", "researcher")
IMPORTS_SYFT = {
    "datasites/accounts.py",
    "datasites/assets/publish.py",
    "datasites/canonical.py",
    "datasites/deserialiser.py",
    "datasites/guard.py",
    "datasites/pysyft_server.py",
    "datasites/requests.py",
    "datasites/sign_in.py",
    "datasites/tickets.py",
    "researcher/code_requests.py",
    "researcher/deserialiser.py",
    "researcher/pysyft_connection.py",
}


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def _files(*parts: str) -> list[Path]:
    return sorted((PROJECT.joinpath(*parts)).rglob("*.py"))


def _imported_tops(files: list[Path]) -> dict[str, set[str]]:
    return {str(file.relative_to(PROJECT)): {name.split(".")[0] for name in _imports(file)} for file in files}


def test_policies_import_neither_datasites_nor_researcher_nor_syft() -> None:
    # `python -m policies audit` is an entry point: it hands the hospital's trainer to the audit.
    tops = _imported_tops([file for file in _files("policies") if file.name != "__main__.py"])
    assert not {name for name, found in tops.items() if found & {"datasites", "researcher", "syft"}}


def test_datasites_do_not_import_the_researchers_side() -> None:
    assert not {name for name, found in _imported_tops(_files("datasites")).items() if "researcher" in found}


def test_the_researchers_side_imports_of_datasites_only_the_training() -> None:
    for file in _files("researcher"):
        used = {name for name in _imports(file) if name.split(".")[0] == "datasites"}
        assert all(name.startswith("datasites.training") for name in used), file


def test_training_imports_no_syft_and_no_other_part_of_a_datasite() -> None:
    for file in _files("datasites", "training"):
        found = set(_imports(file))
        assert not any(name.split(".")[0] in {"syft", "researcher"} for name in found), file
        assert all(name.startswith("datasites.training") for name in found if name.split(".")[0] == "datasites"), file


def test_only_the_named_files_know_pysyft() -> None:
    tops = _imported_tops([file for package in PACKAGES for file in _files(package)])
    assert {name for name, found in tops.items() if "syft" in found} <= IMPORTS_SYFT


@pytest.mark.parametrize("part", ["datasites/runs/runner.py", "datasites/runs/process.py", "datasites/cli"])
def test_a_runner_and_the_command_line_do_not_reach_pysyft(part: str) -> None:
    files = _files(part) or [PROJECT / part]
    assert not {name for name, found in _imported_tops(files).items() if "syft" in found}


def test_nothing_at_the_top_level_but_what_the_frame_allows() -> None:
    allowed = {*PACKAGES, "tests", "docs", "launch_datasites.py", "requirements.txt", "README.md", "pyproject.toml"}
    allowed |= {"Makefile", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "findings"}
    made = {"out", "state", "__pycache__", "build"}
    found = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")}
    assert found - made <= allowed | {name for name in found if name.endswith(".egg-info")}
