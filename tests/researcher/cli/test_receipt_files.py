"""Receipts and keys that were saved again by an editor are read, or what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.signed_studies import write_study

from researcher.cli.program import main


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    return write_study(tmp_path) / "receipts"


def saved_again(file: Path, encoding: str) -> None:
    file.write_text(file.read_text(), encoding=encoding)


def test_a_mark_before_a_receipt_or_its_key_is_passed_over(receipts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, receipt = receipts / "north.key", receipts / "north.receipt.json"
    for file in (key, receipt):
        saved_again(file, "utf-8-sig")
    assert main(["receipt", "verify", str(receipt), "--key", str(key)]) == 0
    assert "Valid: north states" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["north.key", "north.receipt.json"])
def test_another_encoding_is_named(receipts: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved_again(receipts / name, "utf-16")
    key, receipt = receipts / "north.key", receipts / "north.receipt.json"
    assert main(["receipt", "verify", str(receipt), "--key", str(key)]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert name in said.replace(" ", "") and "is not UTF-8" in said
