"""Receipts and keys that were saved again by an editor are read, or what is wrong with them is said."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

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


@pytest.mark.parametrize("content", [None, "", "AB" * 32, "ab" * 31])
def test_what_is_no_public_key_is_not_said_to_be_another_key(
    receipts: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    key = receipts / "given.key"
    if content is not None:
        key.write_text(content)
    assert main(["receipt", "verify", str(receipts / "north.receipt.json"), "--key", str(key)]) == 1
    assert f"{key} is no public key of a datasite" in capsys.readouterr().err


@pytest.mark.parametrize(("files", "told"), [((), "No hospital has approved"), (("north.receipt.json",), "north.rec")])
def test_receipts_that_there_are_none_of_are_said_to_be_missing(
    files: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = SimpleNamespace(receipts=lambda folder, on_missing: [Path(file) for file in files])
    monkeypatch.setattr("researcher.cli.receipts.connect", lambda credentials, begun: nullcontext())
    monkeypatch.setattr("researcher.studies.submission.Submission.load", lambda federation, folder: asked)
    assert main(["receipts", "--out", "anywhere"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith(told)
