"""Commands join the researcher's program here, with the options that several of its commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from policies.terminal.commands import Commands, option, path

INTERRUPTED = 130  # exit status of a command that a person stopped


class ResearcherCommands(Commands):
    """The researcher's commands. What libraries say of themselves meanwhile is not printed."""

    def add(
        self,
        name: str,
        run: Callable[..., int | None],
        *params: click.Parameter,
        later: Callable[[], Sequence[click.Parameter]] | None = None,
    ) -> None:
        """Adds a command, whose function takes its parameters by name."""

        @functools.wraps(run)
        def command(**given: Any) -> int | None:
            _quieten()
            return run(**given)

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
