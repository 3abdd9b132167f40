"""Which process of `make test` takes which file of tests, and when: all processes are to end together.

Files that use the same running hospitals or fork server go to one process, so that these are started once. What takes
long comes first: a long file that is begun last is what everybody waits for.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).resolve().parents[1]
# The fixtures of tests/end_to_end and tests/datasites/runs that start what takes long once for a process, and those
# that stand on them.
SHARED = {"hospitals": {"hospitals", "federation", "north_only"}, "pair": {"pair"}, "fork_server": {"fork_server"}}
SHARING = (TESTS / "end_to_end", TESTS / "datasites" / "runs")
LONGEST = (
    "end_to_end",
    "docs/test_tutorial",
    "datasites/runs",
    "datasites/training/test_clipping",
    "policies/test_audit_command",
    "policies/budget",
    "datasites/console",
    "datasites/training",
    "datasites/pysyft",
    "researcher/simulation",
    "researcher/exports",
)


class FilesInTurn(LoadScopeScheduling):
    """Hands out one file after the other, as they come, or all files that share hospitals or a fork server."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid.partition("::")[0])


@cache
def scope_of(file: str) -> str:
    """What stays in one process: the hospitals or fork server that a file's tests share, or else the file's path."""
    path = TESTS.parent / file
    if path.parent not in SHARING:
        return file
    used = {
        argument.arg
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and (node.name.startswith("test_") or node.decorator_list)
        for argument in node.args.args
    }
    return next((shared for shared, fixtures in SHARED.items() if fixtures & used), file)


def turn_of(file: Path) -> int:
    """How early a file comes."""
    place = file.relative_to(TESTS).as_posix()
    return next((turn for turn, start in enumerate(LONGEST) if place.startswith(start)), len(LONGEST))
