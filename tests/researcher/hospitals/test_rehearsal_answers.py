"""What a hospital says of a rehearsal: nothing, where it made none, and never an order."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from policies.answers.plain_values import to_plain
from policies.answers.rehearsals import RehearsalAnswer
from policies.errors import FederationError, NotAllowed, RequestUnknown, WanwuError
from researcher.hospitals.datasite_client import DatasiteClient

PASSED = RehearsalAnswer("ab", "passed", "", 0.5, 300, 12.0, 1.5, "alone", "", "2026-11-27T22:00:00+00:00")


def answering(status: int, content: object) -> DatasiteClient:
    answer = httpx.Response(status, content=json.dumps(content).encode())
    channel: Any = SimpleNamespace(datasite="north", url="https://north", request=lambda *arguments, **named: answer)
    return DatasiteClient(channel, b"\1" * 32)


def test_an_answer_is_read_as_it_is_declared() -> None:
    assert answering(200, to_plain(PASSED)).rehearsal("ab") == PASSED
    assert answering(200, {**to_plain(PASSED), "of_a_later_version": 1}).rehearsal("ab") == PASSED
    with pytest.raises(FederationError):
        answering(200, {**to_plain(PASSED), "reason": "\x1b[2J"}).rehearsal("ab")


def test_a_hospital_that_made_none_is_no_error() -> None:
    assert answering(404, {"code": RequestUnknown.code, "error": "Not Found"}).rehearsal("ab") is None


@pytest.mark.parametrize(("status", "kind"), [(403, NotAllowed), (404, WanwuError)])
def test_another_refusal_is_one(status: int, kind: type[WanwuError]) -> None:
    with pytest.raises(kind) as refused:
        answering(status, {"code": kind.code, "error": "no"}).rehearsal("ab")
    assert refused.type is kind
