"""Receipts of rounds on the researcher's side: the latest of each request is kept, and shown to whom reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.contracts.round_receipt import ROUND_RECEIPT
from policies.versions.releases import Release
from researcher.hospitals.connections.round_receipts import RECEIPTS_FILE, RoundReceipts

NOW, BEFORE = Release(0, 3, 0), Release(0, 2, 9)


def kept(folder: Path) -> RoundReceipts:
    return RoundReceipts(folder, {"one", "two"}.__contains__)


def test_the_latest_rounds_receipt_is_shown_also_by_who_opens_the_folder_again(tmp_path: Path) -> None:
    receipts = kept(tmp_path)
    for index, text in ((0, "first"), (2, "third"), (1, "second"), (2, "third again")):
        receipts.take("one", index, text)
    for side in (receipts, kept(tmp_path)):
        assert side.shown("one", NOW) == {ROUND_RECEIPT: "third"}
        assert side.shown("two", NOW) == {}


@pytest.mark.parametrize("release", [BEFORE, None])
def test_nothing_is_shown_to_a_hospital_that_does_not_read_it(tmp_path: Path, release: Release | None) -> None:
    receipts = kept(tmp_path)
    receipts.take("one", 0, "first")
    assert receipts.shown("one", release) == {}


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 1025, "é"])
def test_what_cannot_be_a_header_is_not_kept(tmp_path: Path, text: str) -> None:
    receipts = kept(tmp_path)
    receipts.take("one", 0, text)
    assert receipts.shown("one", NOW) == {} and not (tmp_path / RECEIPTS_FILE).exists()


def test_another_studys_receipt_over_the_same_connection_is_not_kept(tmp_path: Path) -> None:
    kept(tmp_path).take("three", 0, "first")
    assert not (tmp_path / RECEIPTS_FILE).exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"one": 1}', '{"one": [1, "a\\nb"]}', '{"one": ["x", "y"]}'])
def test_a_file_that_was_changed_is_as_if_it_was_not_there(tmp_path: Path, content: str) -> None:
    (tmp_path / RECEIPTS_FILE).write_text(content)
    receipts = kept(tmp_path)
    assert receipts.shown("one", NOW) == {}
    receipts.take("one", 3, "fourth")
    assert kept(tmp_path).shown("one", NOW) == {ROUND_RECEIPT: "fourth"}


def test_a_folder_that_takes_no_file_stops_nobody(tmp_path: Path) -> None:
    receipts = kept(tmp_path / "file" / "in it")
    (tmp_path / "file").write_text("")
    receipts.take("one", 0, "first")
    assert receipts.shown("one", NOW) == {ROUND_RECEIPT: "first"}
