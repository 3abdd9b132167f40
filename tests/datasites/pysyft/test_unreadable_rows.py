"""A row that cannot be read is told by its table, and nothing of it is printed, logged, raised or answered."""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from support.governed import Governed
from support.hospitals import STRANGER

from datasites.pysyft_database.place import sqlite_files
from datasites.pysyft_database.rows import live_rows
from policies.errors import RowUnreadable, WanwuError

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft as sy
    from syft.client.api import SyftAPICall

SECRET = "made-up institution 4711"


@pytest.fixture
def north(governed_north: Governed) -> Governed:
    return governed_north


def wrong_kind(text: str) -> str:
    return json.dumps(json.loads(text) | {"role": SECRET})


def nested(text: str) -> str:
    return json.dumps(json.loads(text) | {"notifications_enabled": {SECRET: SECRET}, "name": [SECRET]})


def another_type(text: str) -> str:
    return json.dumps(json.loads(text) | {"__canonical_name__": SECRET})


def cut(text: str) -> str:
    return text[: len(text) // 2] + SECRET


def no_object(text: str) -> str:
    return json.dumps([text, SECRET])


def no_text(text: str) -> bytes:
    return text.encode() + SECRET.encode() + b"\xff"


DAMAGES = [wrong_kind, nested, another_type, cut, no_object, no_text]


@contextmanager
def damaged(north: Governed, damage: Any) -> Iterator[list[str]]:
    """Inside, the second researcher's row is damaged; what of it nobody may see."""
    (file,) = sqlite_files(north.state)
    with closing(sqlite3.connect(file)) as opened:
        found = "SELECT id, fields FROM \"User\" WHERE fields LIKE '%' || ? || '%'"
        ((key, text),) = opened.execute(found, (STRANGER,)).fetchall()
        change = 'UPDATE "User" SET fields = CAST(? AS TEXT) WHERE id = ?'
        with opened:
            opened.execute(change, (damage(text), key))
        try:
            held = json.loads(text)
            yield [SECRET, held["signing_key"], held["hashed_password"], STRANGER]
        finally:
            with opened:
                opened.execute(change, (text, key))


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_of_an_accounts_row_is_in_what_its_process_says(
    damage: Any, north: Governed, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    message = SyftAPICall(server_uid=north.server.id, path="user.get_current_user", args=[], kwargs={})
    signed = message.sign(north.key(STRANGER))
    key = north.server.verify_key
    said: list[str] = []
    reads: list[Callable[[], object]] = [
        lambda: north.server.services.user.stash.get_all(key).unwrap(),
        lambda: north.accounts.researchers(),
    ]
    if damage is not no_object:  # in which no address is found
        reads.append(lambda: north.server.services.user.stash.get_by_email(key, email=STRANGER).unwrap())
    if damage in (cut, no_object, no_text):
        reads.append(lambda: live_rows(north.state, "User"))
    with caplog.at_level(logging.DEBUG), damaged(north, damage) as secrets:
        for read in reads:
            with pytest.raises(WanwuError) as error:
                read()
            assert isinstance(error.value, RowUnreadable) and "'User'" in error.value.public
            said += [error.value.private, *traceback.format_exception(error.value)]
        answer = _answered(north, signed)
    printed = capfd.readouterr()
    said += [answer, printed.out, printed.err, caplog.text]
    assert [one for one in said if any(secret in one for secret in secrets)] == []


def _answered(north: Governed, signed: Any) -> str:
    try:
        answer = north.answer(signed, STRANGER)
    except WanwuError as error:
        return error.public
    assert isinstance(answer, sy.SyftError)
    return str(answer.message) + str(answer.tb)


def test_a_call_is_answered_with_the_table_and_what_to_do(north: Governed) -> None:
    (file,) = sqlite_files(north.state)
    with closing(sqlite3.connect(file)) as opened, opened:
        kept = opened.execute('SELECT id, fields FROM "Dataset"').fetchall()
        opened.execute("UPDATE \"Dataset\" SET fields = json_set(fields, '$.asset_list', ?)", (SECRET,))
    try:
        answer = north.call("dataset.get_all")
    finally:
        with closing(sqlite3.connect(file)) as opened, opened:
            opened.executemany('UPDATE "Dataset" SET fields = ? WHERE id = ?', [(text, key) for key, text in kept])
    assert isinstance(answer, sy.SyftError)
    assert answer.message.startswith("WW827: A row of PySyft's table 'Dataset' cannot be read")
    assert "from a backup" in answer.message and SECRET not in answer.message


def test_a_row_that_the_disk_does_not_take_is_not_quoted(north: Governed) -> None:
    stash = north.server.services.user.stash
    (file,) = sqlite_files(north.state)
    with closing(sqlite3.connect(file, isolation_level=None)) as opened:
        user = stash.get_by_email(north.server.verify_key, email=STRANGER).unwrap()
        opened.execute("CREATE TRIGGER full BEFORE UPDATE ON \"User\" BEGIN SELECT RAISE(FAIL, 'no room'); END")
        try:
            with pytest.raises(Exception, match="no room") as error:
                stash.update(north.server.verify_key, user).unwrap()
        finally:
            opened.execute("DROP TRIGGER full")
    said = "".join(traceback.format_exception(error.value))
    assert "parameters hidden" in said
    assert not any(one in said for one in (STRANGER, str(user.signing_key)))
