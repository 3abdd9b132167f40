"""How a command joins the researcher's program: its name, what it does, the options that several of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Commands:
    """Commands beside one another: those of the program, or of a group such as `receipt`."""

    beside: Any

    @classmethod
    def of(cls, program: argparse.ArgumentParser) -> Commands:
        """The commands of a program, none yet."""
        return cls(program.add_subparsers(title="commands", required=True, metavar="COMMAND"))

    def add(
        self, name: str, command: Callable[[argparse.Namespace], None], *shared: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        """Adds a command, whose docstring is its help; returns its parser, for its own arguments."""
        added: argparse.ArgumentParser = self.beside.add_parser(name, parents=list(shared), help=command.__doc__)
        added.set_defaults(command=command)
        return added

    def group(self, name: str, text: str) -> Commands:
        """Adds a word that commands of its own follow."""
        return Commands(self.beside.add_parser(name, help=text).add_subparsers(required=True, metavar="COMMAND"))


def study_folder() -> argparse.ArgumentParser:
    """The option of commands about one study: its folder."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--out", type=Path, default=Path("out/study"), help="folder of the study (default out/study)")
    return shared


def add_backbone_weights(parser: argparse.ArgumentParser) -> None:
    """Adds the option that a features model needs on a hold-out of pictures."""
    parser.add_argument(
        "--backbone_weights",
        metavar="SOURCE",
        help="public weights of a features model's backbone, to evaluate on the hold-out",
    )
