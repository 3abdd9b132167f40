"""Reports are plain text or refused, and no error repeats anything of one."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from support.array_store import listed
from support.painting import Paint

from datasites.ingestion.findings import cut_reports
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import DataError
from policies.plans.tokeniser import words

Written = Callable[..., Path]
KEPT: dict[str, Any] = {"text_length": 4, "report_column": "report"}
CANARY = "Muster"


def read(file: Path) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(file), **KEPT))


@pytest.fixture
def written(tmp_path: Path, paint: Paint) -> Written:
    """Writes a table with a picture and a class for each report."""

    def write(*reports: str, encoding: str = "utf-8") -> Path:
        for number in range(len(reports)):
            paint(f"{number}.png", number)
        file = tmp_path / "labels.csv"
        with file.open("w", encoding=encoding, newline="") as stream:
            table = csv.writer(stream)
            table.writerow(("path", "label", "report"))
            table.writerows((f"{number}.png", ("red", "white")[number % 2], one) for number, one in enumerate(reports))
        return file

    return write


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (rf"{{\rtf1\ansi {{\fonttbl {{\f0 Arial;}}}} {CANARY}: kein Erguss.\par }}", "RTF, HTML or XML"),
        (f"<html><body><p>{CANARY}: no effusion</p></body></html>", "RTF, HTML or XML"),
        (f"<p>{CANARY}</p>\n", "RTF, HTML or XML"),
        (f"<?xml version='1.0'?><text>{CANARY}</text>", "RTF, HTML or XML"),
        (f"reports/{CANARY}.txt", "names of files"),
        ("--- ...", "None of the reports holds a word"),
        ("", "None of the reports holds a word"),
        ("NaN", "None of the reports holds a word"),
    ],
)
def test_what_is_no_plain_text_is_refused_and_not_repeated(written: Written, report: str, message: str) -> None:
    file = written(report, report)
    with pytest.raises(DataError, match=message) as refused:
        read(file)
    assert CANARY not in refused.value.public + refused.value.private
    assert [one.report for one in listed(file).pictures] == [None, None]


@pytest.mark.parametrize(
    "report",
    ["effusion < 2 cm, mass > 3 cm", "<Thorax> kein Erguss", "see 1.pdf and 2.pdf", "p < 0.05", "{none}", "NaN of 3"],
)
def test_text_with_signs_in_it_is_text(written: Written, report: str) -> None:
    assert [one.report for one in read(written(report, "no effusion")).pictures] == [report, "no effusion"]


@pytest.mark.parametrize("cell", ["NaN", "nan", "N/A", "null", "#N/A"])
def test_what_programs_write_into_an_empty_cell_is_an_empty_report(written: Written, cell: str) -> None:
    assert [one.report for one in read(written(cell, "no effusion")).pictures] == ["", "no effusion"]


@pytest.mark.parametrize(
    ("report", "encoding"),
    [
        ("双肺未见明显异常，心影不大。", "gbk"),
        ("Kein Erguss.\r\nHerz: größer", "utf-8-sig"),
        ("Плевральный выпот", "utf-16"),
        ("لا يوجد انصباب", "utf-8"),
    ],
)
def test_reports_in_other_languages_are_read_as_they_are(written: Written, report: str, encoding: str) -> None:
    found = read(written(report, report, encoding=encoding))
    assert found.pictures[0].report == report.replace("\r\n", "\n")


def test_a_workbooks_carriage_return_is_none_of_the_words(tmp_path: Path, paint: Paint) -> None:
    book = Workbook()
    for row in (("path", "label", "report"), ("0.png", "red", "no_x000D_\neffusion"), ("1.png", "white", "x_x0041_")):
        book.active.append(row)
    book.save(tmp_path / "labels.xlsx")
    for number in range(2):
        paint(f"{number}.png", number)
    found = read(tmp_path / "labels.xlsx")
    assert list(words(found.pictures[0].report or "")) == ["no", "effusion"]
    assert found.pictures[1].report == "x_x0041_"


def test_reports_that_are_longer_than_what_is_kept_are_counted(written: Written) -> None:
    found = read(written("one two three four", "one two three four five", "", "六七八九十一二"))
    settings = DatasetSettings(**KEPT)
    assert [line[:50] for line in cut_reports(found, settings)] == [
        "2 of 3 reports have more than the 4 words that tex"
    ]
    assert not list(cut_reports(found, DatasetSettings(text_length=8)))


def test_a_report_of_more_than_a_million_characters_is_named_as_that(written: Written) -> None:
    with pytest.raises(DataError, match="more than 1,048,576 characters"):
        read(written("word " * 300_000, "x"))
