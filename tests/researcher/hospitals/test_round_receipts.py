"""Receipts of rounds on the researcher's side: the latest of each request is kept, and shown to whom reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from policies.answers.plain_values import to_plain
from policies.answers.runs import ChargedRunAnswer, RunAnswer
from policies.contracts.round_receipt import ROUND_RECEIPT
from policies.versions.releases import Release
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.connections.round_receipts import RECEIPTS_FILE, RoundReceipts
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.hospitals.federation import Federation
from researcher.studies.conversation import Conversation

NOW, BEFORE = Release(0, 3, 0), Release(0, 2, 9)


def answering(told: dict[str, RunAnswer], shown: dict[str, str]) -> DatasiteClient:
    """The routes of a hospital that answers about each request, and notes which receipt it was shown with it."""

    def answer(method: str, path: str, headers: dict[str, str], **_: object) -> httpx.Response:
        request = path.partition("/requests/")[2].partition("/")[0]
        shown[request] = headers.get(ROUND_RECEIPT, "")
        return httpx.Response(200, content=json.dumps(to_plain(told[request])).encode())

    channel: Any = SimpleNamespace(datasite="north", url="https://north", release=NOW, request=answer)
    return DatasiteClient(channel, b"\1" * 32)


def test_of_two_studies_at_once_over_one_connection_each_keeps_and_shows_its_own(tmp_path: Path) -> None:
    ended = ChargedRunAnswer("1" * 16, 0, "done", "", "", "0" * 64, 0, 2, 0.5)
    told = {one: replace(ended, receipt=f"of {one}") for one in ("ab", "cd")}
    shown = dict[str, str]()
    routes: Any = answering(told, shown)
    federation = Federation([SimpleNamespace(name="north", routes=routes)])  # type: ignore[list-item]
    studies = dict[str, Conversation]()
    for one in told:
        study = studies[one] = Conversation()
        study.federation, study.folder = federation, tmp_path / one
        study.requests = {"north": CodeRequest(one, "stub", "1")}
        study.folder.mkdir()
        study.hospital("north")
    for _ in range(2):
        for study in studies.values():
            study.asked("north", lambda routes, request: routes.run(request, 0))
    assert shown == {"ab": "of ab", "cd": "of cd"}
    for one, other in (("ab", "cd"), ("cd", "ab")):
        kept = RoundReceipts(tmp_path / one)
        assert kept.shown(one, NOW) == {ROUND_RECEIPT: f"of {one}"}
        assert kept.shown(other, NOW) == {}


def test_the_latest_rounds_receipt_is_shown_also_by_who_opens_the_folder_again(tmp_path: Path) -> None:
    receipts = RoundReceipts(tmp_path)
    for index, text in ((0, "first"), (2, "third"), (1, "second"), (2, "third again")):
        receipts.take("one", index, text)
    for side in (receipts, RoundReceipts(tmp_path)):
        assert side.shown("one", NOW) == {ROUND_RECEIPT: "third"}
        assert side.shown("two", NOW) == {}


@pytest.mark.parametrize("release", [BEFORE, None])
def test_nothing_is_shown_to_a_hospital_that_does_not_read_it(tmp_path: Path, release: Release | None) -> None:
    receipts = RoundReceipts(tmp_path)
    receipts.take("one", 0, "first")
    assert receipts.shown("one", release) == {}


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 1025, "é"])
def test_what_cannot_be_a_header_is_not_RoundReceipts(tmp_path: Path, text: str) -> None:
    receipts = RoundReceipts(tmp_path)
    receipts.take("one", 0, text)
    assert receipts.shown("one", NOW) == {} and not (tmp_path / RECEIPTS_FILE).exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"one": 1}', '{"one": [1, "a\\nb"]}', '{"one": ["x", "y"]}'])
def test_a_file_that_was_changed_is_as_if_it_was_not_there(tmp_path: Path, content: str) -> None:
    (tmp_path / RECEIPTS_FILE).write_text(content)
    receipts = RoundReceipts(tmp_path)
    assert receipts.shown("one", NOW) == {}
    receipts.take("one", 3, "fourth")
    assert RoundReceipts(tmp_path).shown("one", NOW) == {ROUND_RECEIPT: "fourth"}


def test_a_folder_that_takes_no_file_stops_nobody(tmp_path: Path) -> None:
    receipts = RoundReceipts(tmp_path / "file" / "in it")
    (tmp_path / "file").write_text("")
    receipts.take("one", 0, "first")
    assert receipts.shown("one", NOW) == {ROUND_RECEIPT: "first"}
