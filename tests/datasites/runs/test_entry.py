"""The stub reaches what decides about its own call's round, and nothing else."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from typing import Any

import pytest

from datasites.runs import entry
from policies.errors import RequestAltered, RequestPending, StorageUnavailable

PRIVATE, MOCK = {"kind": "private"}, {"kind": "mock"}


def admitting(name: str) -> Any:
    return lambda plan, ticket: {"by": name, "plan": plan, "ticket": ticket}


def test_a_stub_outside_of_any_call_is_refused() -> None:
    assert json.loads(entry.enter(PRIVATE, "p", "t"))["code"] == RequestPending.code
    with entry.serving(admitting("a")):
        pass
    assert json.loads(entry.enter(PRIVATE, "p", "t"))["code"] == RequestPending.code


def test_the_private_turn_of_a_stub_is_decided_by_its_own_call_and_the_mocks_by_nobody() -> None:
    with entry.serving(admitting("a")) as answers:
        assert json.loads(entry.enter(MOCK, "p", "t")) == {"state": "mock"}
        assert answers == []
        answer = entry.enter(PRIVATE, "p", "t")
    assert answers == [answer]
    assert json.loads(answer) == {"by": "a", "plan": "p", "ticket": "t"}


def test_calls_in_other_threads_are_decided_by_their_own() -> None:
    barrier = threading.Barrier(8)
    found: dict[str, str] = {}

    def call(name: str) -> None:
        with entry.serving(admitting(name)):
            barrier.wait()
            found[name] = json.loads(entry.enter(PRIVATE, "p", "t"))["by"]
            barrier.wait()

    threads = [threading.Thread(target=call, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {str(number): str(number) for number in range(8)}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestAltered("Another plan."), RequestAltered.code),
        (ValueError("a secret"), "WW5"),
        (sqlite3.OperationalError("disk I/O error in a secret place"), StorageUnavailable.code),
        (OSError(errno.ENOSPC, "no room", "a secret place"), StorageUnavailable.code),
    ],
)
def test_a_refusal_is_an_answer_and_holds_no_exceptions_text(error: Exception, code: str) -> None:
    def refuse(plan: str, ticket: str) -> dict[str, Any]:
        raise error

    with entry.serving(refuse) as answers:
        entry.enter(PRIVATE, "p", "t")
    assert json.loads(answers[0])["code"].startswith(code)
    assert "secret" not in answers[0]
