"""The command `demo`: hospitals, a study, approvals, rounds and a report, all on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from researcher.cli.commands import Commands


def demo(options: argparse.Namespace) -> None:
    """Runs the main job: hospitals, a study, approvals, rounds, a report."""
    from researcher.demo import run_demo

    run_demo(
        data=options.data,
        test=options.test,
        out=options.out,
        num_rounds=options.num_rounds,
        port=options.port,
    )


def add_commands(commands: Commands) -> None:
    """Adds this command to the program."""
    showing = commands.add("demo", demo)
    showing.add_argument("--data", type=Path, help="FOLDER/<hospital>/<class>/* or an .npz file (default: drawn)")
    showing.add_argument("--test", type=Path, help="public hold-out in the same form")
    showing.add_argument("--out", type=Path, default=Path("out/demo"), help="where to write (default out/demo)")
    showing.add_argument("--num_rounds", type=int, help="rounds (default: the recipe's)")
    showing.add_argument("--port", type=int, default=8081, help="first port of the hospitals (default 8081)")
