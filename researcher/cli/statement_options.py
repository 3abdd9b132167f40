"""The options by which a researcher says who asks and what for, made from the statement's own declaration."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Any

import click

from policies.plans.words.statement import STATEMENT, Statement
from policies.settings import declared
from policies.terminal.commands import option_of, path

STATEMENT_VARIABLE = "WANWU_STATEMENT"
"""Environment variable with the path of a file that says who asks."""


def statement_options() -> list[click.Parameter]:
    """An option for each text of a statement, and one for a file of them; what is given goes to every hospital."""
    file = STATEMENT._replace(help=f"{STATEMENT.help} (default: ${STATEMENT_VARIABLE})", kind=path)
    return [option_of(file, value="FILE"), *map(option_of, declared(Statement).values())]


def own_options(kind: type) -> list[click.Parameter]:
    """An option for each setting of a class that has a statement among them; the statement has options of its own."""
    return [option_of(one) for one in declared(kind).values() if one.name != STATEMENT.name]


def taken_from(options: MutableMapping[str, Any]) -> Statement | None:
    """The statement that a command's options make; they are taken out of `options`.

    Raises:
        ConfigError: The file is not one.
        PlanError: A text is too long or not plain.
    """
    from researcher.planning.statement_file import read_statement

    given = {name: options.pop(name) for name in (STATEMENT.name, *declared(Statement))}
    own = os.environ.get(STATEMENT_VARIABLE)
    file = given.pop(STATEMENT.name) or (path(own) if own else None)
    return read_statement(file, _said(given))


def _said(given: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in given.items() if text is not None}
