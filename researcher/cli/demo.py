"""The command `demo`: hospitals, a study, approvals, rounds and a report, all on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.terminal.commands import option, path
from researcher.cli.commands import ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path


def demo(*, data: Path | None, test: Path | None, out: Path, num_rounds: int | None, port: int) -> None:
    """Runs a whole study on this machine: hospitals, approvals, rounds, a report."""
    from researcher.demo import run_demo

    run_demo(data=data, test=test, out=out, num_rounds=num_rounds, port=port)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "demo",
        demo,
        option("--data", "FOLDER/<hospital>/<class>/* or an .npz file (default: drawn)", kind=path),
        option("--test", "public hold-out in the same form", kind=path),
        option("--out", "where to write", kind=path, default="out/demo"),
        option("--num_rounds", "rounds (default: the recipe's)", kind=int),
        option("--port", "first port of the hospitals", kind=int, default=8081),
        interrupted="The demo's hospitals are stopped; run it again, and it begins anew.",
    )
