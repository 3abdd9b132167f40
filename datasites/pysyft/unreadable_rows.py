"""PySyft's reading of its rows, with nothing of one in what it prints, logs, raises or answers. All of it stays here.

PySyft prints a row that it cannot read, with an account's keys, and so do the errors that its parsers raise.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, ExceptionContext
from syft.serde import json_serde
from syft.store.db import db, stash

from datasites.pysyft_database.unreadable import is_of_a_row, unreadable

_TABLE = re.compile(r'\b(?:FROM|UPDATE|INTO)\s+"?(\w+)')


def install() -> None:
    """Puts this reading in the place of PySyft's, whose functions are its modules'. Done again, it changes nothing.

    Guarantees:
        What PySyft's stores raise, print and log of a row that cannot be read or written holds nothing of it.
    """
    for module in (json_serde, stash):
        vars(module)["print"] = _silent
    vars(stash)["deserialize_json"] = _read_back
    stash.ObjectStash.row_as_obj = _row_as_obj
    vars(db)["create_engine"] = engine


def engine(*args: Any, **kwargs: Any) -> Engine:
    """An engine of SQLAlchemy's whose errors hold nothing of a row, neither of one read nor of one written."""
    made = create_engine(*args, json_deserializer=from_json, hide_parameters=True, **kwargs)
    event.listen(made, "handle_error", _told)
    return made


class Unreadable:
    """Stands for a text that is no JSON: whatever is asked of it fails, and it says nothing."""


def from_json(text: str | bytes) -> Any:
    """What a text of a database says; `Unreadable` where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return Unreadable()


def _row_as_obj(self: Any, row: Any) -> Any:
    if isinstance(row.fields, dict):
        try:
            return json_serde.deserialize_json(row.fields)
        except Exception:  # noqa: BLE001, S110 - its text quotes the row; refused below, without it
            pass
    tables = self.table.metadata.tables.items()
    # A store reads accounts too, for their roles: a row is named after the table that it came from.
    raise unreadable(next((name for name, table in tables if table.c.id in row._mapping), self.table.name))


def _read_back(fields: Any) -> Any:
    try:
        return json_serde.deserialize_json(fields)
    except Exception:  # noqa: BLE001, S110 - its text quotes the row
        pass
    raise ValueError("what was to be kept could not be read back")


def _told(context: ExceptionContext) -> None:
    if not is_of_a_row(context.original_exception):
        return
    context.original_exception.args = ("what the database said quotes a row, and is left out",)
    running = context.execution_context  # which still has the statement where its rows are fetched
    found = _TABLE.search(context.statement or str(getattr(running, "statement", "")))
    raise unreadable(found[1] if found else "?")


def _silent(*_: object, **__: object) -> None:
    """PySyft's `print`, of which the hospital's log would keep every word."""
