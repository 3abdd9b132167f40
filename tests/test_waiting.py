"""No test hangs on the pace of the machine: whoever waits takes the one ceiling, or waits for a condition."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import waiting
from support.waiting import wait_for

TESTS = Path(__file__).parent
WAITING = {"wait", "join", "result", "communicate", "wait_procs"}
# httpx gives up after five seconds where nobody says how many.
ASKING = {"get", "post", "put", "delete", "request", "stream", "Client", "AsyncClient"}
PACE_SECONDS = 1  # shorter ones end nothing: they are how often a loop looks


def _number(node: ast.expr) -> float:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else 0.0


def _own_limits(tree: ast.AST) -> Iterator[int]:
    """The lines where somebody waits for so many seconds at most, also where a library says how many."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg == "timeout"]
            if isinstance(node.func, ast.Attribute) and node.func.attr in WAITING:
                given += node.args
            if any(_number(value) > PACE_SECONDS for value in given):
                yield node.lineno
            if isinstance(node.func, ast.Attribute) and node.func.attr in ASKING:
                own = {word.arg for word in node.keywords} & {None, "timeout", "transport"}
                if isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx" and not own:
                    yield node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _number(node.right):
            called = node.left.func if isinstance(node.left, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr == "monotonic":
                yield node.lineno


@pytest.mark.parametrize("folder", sorted(path.name for path in TESTS.iterdir() if path.is_dir()))
def test_no_test_has_a_time_limit_of_its_own(folder: str) -> None:
    files = sorted((TESTS / folder).rglob("*.py"))
    assert [f"{file}:{line}" for file in files for line in _own_limits(ast.parse(file.read_text()))] == []


@pytest.mark.parametrize(
    "line",
    ["run(x, timeout=60)", "process.wait(5)", "thread.join(timeout=20)", "time.monotonic() + 30", "httpx.get(url)"],
)
def test_a_time_limit_would_be_seen(line: str) -> None:
    assert list(_own_limits(ast.parse(line))) == [1]


def test_waiting_ends_with_what_is_found() -> None:
    answers = iter((None, "", "found"))
    assert wait_for(lambda: next(answers)) == "found"


def test_waiting_ends_at_once_where_what_it_hangs_on_has_ended_after_one_last_look() -> None:
    with pytest.raises(AssertionError, match="ended"):
        wait_for(lambda: False, alive=lambda: False)
    assert wait_for(lambda: True, alive=lambda: False)


def test_waiting_has_a_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CEILING_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="within"):
        wait_for(lambda: False)
