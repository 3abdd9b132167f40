"""Commands join the researcher's program here, with the options that several of its commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from policies.terminal.commands import Commands, option, path

NOTHING_CHANGED = "Nothing was changed; run the command again."
GOES_ON = "What was reached is saved; run the command again to go on."
FILES = "A file that was written is whole; run the command again."
SUBMITTED = (
    "Requests that were made are kept in the study's folder: 'status' shows them, and 'train' goes on with them. "
    "Where it holds no study yet, run the command again."
)
INVITED = "Hospitals may have been asked already; run the command again, which asks none of them twice."
TOLD = "Hospitals may have been told already; run the command again, which tells the others."


class Interrupted(KeyboardInterrupt):
    """A person stopped a command. Its text says what is true of the command then."""


class ResearcherCommands(Commands):
    """The researcher's commands. What libraries say of themselves meanwhile is not printed."""

    def add(
        self,
        name: str,
        run: Callable[..., int | None],
        *params: click.Parameter,
        later: Callable[[], Sequence[click.Parameter]] | None = None,
        interrupted: str = NOTHING_CHANGED,
    ) -> None:
        """Adds a command, whose function takes its parameters by name.

        Args:
            name: As of `Commands.add`, like those that follow.
            run: What it does.
            params: Its options and arguments.
            later: Makes further ones.
            interrupted: What is true of it where a person stops it, in a sentence or two.
        """

        @functools.wraps(run)
        def command(**given: Any) -> int | None:
            try:
                _quieten()
                return run(**given)
            except KeyboardInterrupt as error:
                raise Interrupted(interrupted) from error

        super().add(name, command, *params, later=later)


def study_folder() -> click.Option:
    """The option of commands about one study: its folder."""
    return option("--out", "folder of the study", kind=path, default="out/study")


def backbone_weights() -> click.Option:
    """The option that a features model needs on a hold-out of pictures."""
    told = "public weights of a features model's backbone, to evaluate on the hold-out"
    return option("--backbone_weights", told, value="SOURCE")


def model_option() -> click.Option:
    """The option that gives a model's own options."""
    told = "an option of the model; may be given again"
    return option("--model_option", told, kind=_model_option, value="NAME=VALUE", repeated=True)


def _model_option(text: str) -> tuple[str, str | int | float | bool]:
    """`NAME=VALUE` with a value as JSON has it, else as text."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, str | int | float | bool) else value


def _quieten() -> None:
    import logging
    import warnings

    warnings.filterwarnings("ignore", module=r"(syft|opacus|requests)\..*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a datasite that is out of reach is told once, by us
