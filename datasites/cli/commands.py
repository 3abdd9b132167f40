"""How a command joins the hospital's program: its name, what it does, the options that all of them take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAFF_VARIABLE = "WANWU_STAFF"
"""Environment variable with the path of a person's own token file."""


@dataclass(frozen=True)
class Commands:
    """Commands beside one another: those of the program, or of a group such as `staff`."""

    beside: Any
    shared: argparse.ArgumentParser

    @classmethod
    def of(cls, program: argparse.ArgumentParser) -> Commands:
        """The commands of a program, none yet."""
        return cls(program.add_subparsers(title="commands", required=True, metavar="COMMAND"), _shared_options())

    def add(self, name: str, command: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        """Adds a command, whose docstring is its help; returns its parser, for its own arguments."""
        added: argparse.ArgumentParser = self.beside.add_parser(name, parents=[self.shared], help=command.__doc__)
        added.set_defaults(command=command)
        return added

    def group(self, name: str, text: str) -> Commands:
        """Adds a word that commands of its own follow."""
        return Commands(
            self.beside.add_parser(name, help=text).add_subparsers(required=True, metavar="COMMAND"), self.shared
        )


def _shared_options() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state", type=Path, help="the datasite's state folder")
    shared.add_argument("--name", help="short for --state state/NAME")
    shared.add_argument(
        "--as", dest="as_file", type=Path, metavar="FILE", help=f"your own token file (default: ${STAFF_VARIABLE})"
    )
    shared.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return shared
