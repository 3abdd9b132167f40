"""What a datasite answers where something fails that is no error of the platform's own."""

from __future__ import annotations

import sqlite3

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from datasites.web.http_errors import add_error_handlers

FULL = sqlite3.OperationalError("database or disk is full: /private/place")


def as_pysyft_raises_it() -> None:
    """PySyft's own tables stand behind SQLAlchemy, which makes its error of SQLite's."""
    try:
        raise FULL
    except sqlite3.OperationalError as error:
        raise OperationalError("INSERT INTO jobs", {}, error) from error


def in_something_else() -> None:
    try:
        as_pysyft_raises_it()
    except OperationalError as error:
        raise RuntimeError("odd") from error


def at_once() -> None:
    raise FULL


def a_fault_of_ours() -> None:
    raise RuntimeError("/private/place")


@pytest.mark.parametrize(
    ("fails", "status", "code"),
    [
        (at_once, 503, "WW822"),
        (as_pysyft_raises_it, 503, "WW822"),
        (in_something_else, 503, "WW822"),
        (a_fault_of_ours, 500, "WW000"),
    ],
)
def test_a_table_that_takes_nothing_is_told_as_the_disk_whoever_wrote_to_it(
    fails: object, status: int, code: str
) -> None:
    app = FastAPI()
    add_error_handlers(app)
    app.add_api_route("/", fails)  # type: ignore[arg-type]
    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "private" not in answer.text
