"""A file with what a researcher says of their requests, so that it is not typed each time.

What stands in it goes to every hospital that is asked, as part of the plan.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from policies.errors import ConfigError
from policies.plans.words.statement import Statement, statement_of
from policies.untrusted_text import line_of, odd_character

TABLE = "statement"


def read_statement(file: Path | None, texts: Mapping[str, str]) -> Statement | None:
    """The statement that a file and single texts make together; a text stands in place of the file's.

    Args:
        file: TOML with a table [statement]; None for no file.
        texts: Field → text.

    Returns:
        The statement; None where nothing is said.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or has no such table.
        PlanError: A field that no statement has, or a text that is too long or not plain.
    """
    return statement_of({**(_table(file) if file else {}), **texts})


def _table(file: Path) -> dict[str, object]:
    text = ""
    try:
        text = file.read_bytes().decode("utf-8-sig")
        table = tomllib.loads(text).get(TABLE)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}. Give a TOML file with [{TABLE}].") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if odd := odd_character(line_of(error, text)):
            raise ConfigError(
                f"{file} is not TOML in UTF-8: {error}. In that line stands {odd}, which looks like another character "
                "or like none. Type the line anew with plain quotes, signs and spaces."
            ) from error
        raise ConfigError(f"{file} is not TOML in UTF-8: {error}.") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{file} has no table [{TABLE}]. Write one, with texts such as name and purpose.")
    return table
