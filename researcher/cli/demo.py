"""The command `demo`: hospitals, a study, approvals, rounds and a report, all on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.terminal.commands import option, path
from policies.terminal.printing import say
from researcher.cli.commands import INTERRUPTED, ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path


def demo(*, data: Path | None, test: Path | None, out: Path, num_rounds: int | None, port: int) -> int | None:
    """Runs the main job: hospitals, a study, approvals, rounds, a report."""
    from researcher.demo import run_demo

    try:
        run_demo(data=data, test=test, out=out, num_rounds=num_rounds, port=port)
    except KeyboardInterrupt:  # unlike a study's own command, it keeps nothing to go on with
        say("Interrupted. The demo's hospitals are stopped; run it again, and it begins anew.", to_errors=True)
        return INTERRUPTED
    return None


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
    )
