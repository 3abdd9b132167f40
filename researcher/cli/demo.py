"""The command `demo`: hospitals, a study, approvals, rounds and a report, all on this machine."""

from __future__ import annotations

from pathlib import Path

from policies.terminal.commands import option
from researcher.cli.commands import ResearcherCommands


def demo(*, data: Path | None, test: Path | None, out: Path, num_rounds: int | None, port: int) -> None:
    """Runs the main job: hospitals, a study, approvals, rounds, a report."""
    from researcher.demo import run_demo

    run_demo(data=data, test=test, out=out, num_rounds=num_rounds, port=port)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "demo",
        demo,
        option("--data", "FOLDER/<hospital>/<class>/* or an .npz file (default: drawn)", kind=Path),
        option("--test", "public hold-out in the same form", kind=Path),
        option("--out", "where to write", kind=Path, default=Path("out/demo")),
        option("--num_rounds", "rounds (default: the recipe's)", kind=int),
        option("--port", "first port of the hospitals", kind=int, default=8081),
    )
