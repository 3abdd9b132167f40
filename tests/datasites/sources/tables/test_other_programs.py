"""Tables that other programs wrote are told as theirs, with what to export, and not as texts in a strange encoding."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.read_listing import list_pictures
from datasites.sources.tables.read_table import read_table
from policies.errors import DataError


def _open_document() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<office:document-content/>")
    return stream.getvalue()


def _archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "path,label")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"$FL2@(#) SPSS DATA FILE" + bytes(80),
        b"$FL3@(#) SPSS DATA FILE" + bytes(80),
        b"<stata_dta><header><release>118</release>",
        b"s\2\1\0" + bytes(100),
        b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!",
        bytes(12) + b"\xc2\xea\x81\x60" + bytes(80),
        _open_document(),
        b"\xef\xbb\xbf\n<html><table><tr><td>path</td></tr></table></html>",
        b'[{"path": "a.png"}]',
        b'{"path": ["a.png"]}',
        gzip.compress(b"path,label\na.png,benign\n"),
        bz2.compress(b"path,label\na.png,benign\n"),
        lzma.compress(b"path,label\na.png,benign\n"),
        b"ARROW1\0\0" + bytes(80),
        _archive("[Content_Types].xml", "xl/workbook.bin"),
        _archive("labels.csv"),
    ],
    ids=[
        "SPSS",
        "SPSS packed",
        "Stata",
        "Stata 12",
        "SAS transport",
        "SAS",
        "LibreOffice",
        "a page",
        "JSON",
        "columns",
        "gzip",
        "bzip2",
        "xz",
        "Arrow",
        "XLSB",
        "an archive",
    ],
)
def test_a_table_of_another_program_is_named_as_that(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match="SPSS, SAS, Stata, LibreOffice or the web"):
        read_table(file, ("path",))


@pytest.mark.parametrize("name", ["a.ods", "a.xlsb", "a.sav", "a.DTA", "a.json", "a.csv.gz"])
def test_such_a_table_is_named_by_its_own_name_too(tmp_path: Path, name: str) -> None:
    contents = {
        "a.ods": _open_document(),
        "a.xlsb": _archive("xl/workbook.bin"),
        "a.sav": b"$FL2@(#)",
        "a.json": b'[{"a',
    }
    file = tmp_path / name
    file.write_bytes(contents.get(name, b"<stata_dta>" if name == "a.DTA" else gzip.compress(b"path,label\n")))
    with pytest.raises(DataError, match="SPSS, SAS, Stata, LibreOffice or the web"):
        list_pictures(DatasetSettings(data_path=str(file)))


def test_titles_above_the_names_of_columns_are_told(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("Export of 2024\n\npath,label\na.png,benign\n", encoding="utf-8")
    with pytest.raises(DataError, match="Take titles above the names out"):
        read_table(file, ("path",))
