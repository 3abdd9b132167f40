"""A table names pictures in any usual form, each cell as it is written; what is wrong with its rows comes at once."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.mutated_files import mutated
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, Listing
from datasites.sources.read_listing import list_pictures
from datasites.sources.tables import workbook
from datasites.sources.tables.encoding import text_of
from datasites.sources.tables.read_table import read_table
from policies.errors import ConfigError, DataError, IdentitySuspected

MUTATED = 150
ROWS = [("path", "label"), ("a/1.png", "red"), ("a/2.png", "white")]


@pytest.fixture
def pictures(paint: Paint, tmp_path: Path) -> Path:
    for number in range(1, 5):
        paint(f"a/{number}.png", number)
    return tmp_path


def write(folder: Path, rows: Any = ROWS, encoding: str = "utf-8", name: str = "table.csv", **form: Any) -> Path:
    table = io.StringIO(newline="")
    csv.writer(table, **form).writerows(rows)
    file = folder / name
    file.write_bytes(table.getvalue().encode(encoding))
    return file


def listing(file: Path, **settings: Any) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(file), **settings))


def said(found: Listing) -> list[tuple[str, str]]:
    return [(one.picture.place, found.class_names[one.labels[0]]) for one in found.pictures]


def save(kind: str, file: Path, rows: list[tuple[Any, ...]]) -> Path:
    if kind == "xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.save(file)
    else:
        import pyarrow
        from pyarrow import parquet

        columns = list(zip(*rows[1:], strict=True))
        parquet.write_table(pyarrow.table(dict(zip(rows[0], map(list, columns), strict=True))), file)
    return file


# --- forms ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_saved_as_text_reads_the_same(pictures: Path, encoding: str, between: str, end: str) -> None:
    file = write(pictures, [*ROWS, ("", "")], encoding, delimiter=between, lineterminator=end)
    assert said(listing(file)) == [("a/1.png", "red"), ("a/2.png", "white")]


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
def test_a_table_saved_by_a_program_reads_the_same_and_its_cells_stay_as_written(pictures: Path, kind: str) -> None:
    rows = [
        ("path", "label", "patient", "seen"),
        ("a/1.png", 10, "007", True),
        ("a\\2.png", 9, "NA", False),
        ("./a/3.png", 10, "1e5", None),
    ]
    file = save(kind, pictures / f"table.{kind}", rows)
    found = listing(file, patient_column="patient", unit="patient")
    assert said(found) == [("a/1.png", "10"), ("a/2.png", "9"), ("a/3.png", "10")]
    assert found.class_names == ("9", "10") and [one.patient for one in found.pictures] == ["007", "NA", "1e5"]


def test_a_line_that_tells_excel_the_separator_is_no_row(pictures: Path) -> None:
    file = write(pictures, delimiter=";")
    file.write_text("sep=;\n" + file.read_text())
    assert len(listing(file).pictures) == 2


def test_a_folder_and_a_table_elsewhere_go_together(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    file = write(tmp_path / "tables", [("path", "label"), ("1.png", "red"), ("2.png", "white")])
    found = listing(pictures / "a", table=str(file))
    assert said(found) == [("1.png", "red"), ("2.png", "white")]
    assert {(one.place, one.reason.code, one.lost) for one in found.left_out} == {
        ("3.png", "not_in_table", False),
        ("4.png", "not_in_table", False),
    }


def test_gbk_is_read_where_it_is_declared_or_certain(pictures: Path) -> None:
    rows = [("path", "label"), ("a/1.png", "良性结节"), ("a/2.png", "恶性肿瘤")]
    for encoding in ("auto", "gbk"):
        found = listing(write(pictures, rows, "gbk"), table_encoding=encoding)
        assert found.class_names == tuple(sorted(("良性结节", "恶性肿瘤")))


@pytest.mark.parametrize("labels", [("正常", "异常"), ("阴", "阳"), ("膈肌（左）", "胸膜，℃"), ("结节", "abc")])
def test_a_short_table_in_gbk_is_read_too(pictures: Path, labels: tuple[str, str]) -> None:
    rows = [("path", "label"), ("a/1.png", labels[0]), ("a/2.png", labels[1])]
    assert set(listing(write(pictures, rows, "gbk")).class_names) == set(labels)


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (("Größe", "GRÖSSE", "ÄÜÖÄ kein Befund", "über"), "cp1252"),
        (("poumon gauche élevé", "côté", "fièvre à 39°C"), "cp1252"),
        (("опухоль", "пациент здоров", "лёгкие"), "cp1251"),
        (("здоровые", "больные", "норма"), "koi8_r"),
        (("正常", "异常", "腫瘤"), "big5"),
        (("正常", "異常", "しこり"), "shift_jis"),
    ],
)
def test_other_encodings_are_refused_with_the_setting_to_give(words: tuple[str, ...], encoding: str) -> None:
    content = "".join(f"a/{number}.png,{word}\n" for number, word in enumerate(words)).encode(encoding, "ignore")
    with pytest.raises(DataError, match="Set table_encoding"):
        text_of(b"path,label\n" + content, "auto")


def test_a_path_without_its_suffix_is_the_one_file_that_it_fits(paint: Paint, pictures: Path) -> None:
    paint("ü.b/c.1.PNG", 5)
    rows = [("path", "label"), ("a/1", "red"), ("a\\2", "white"), ("u\u0308.b/c.1", "white")]
    assert [place for place, _ in said(listing(write(pictures, rows)))] == ["a/1.png", "a/2.png", "ü.b/c.1.PNG"]
    paint("a/1.tif", 1)
    with pytest.raises(DataError, match="several files have the name that a path gives without its suffix") as refused:
        listing(write(pictures, rows))
    assert "in lines 2 (a/1" in refused.value.private
    outside = pictures.parent / f"{pictures.name}-outside"
    outside.mkdir()
    (outside / "9.png").write_bytes((pictures / "a" / "2.png").read_bytes())
    (pictures / "b").symlink_to(outside)
    (pictures / "a" / "8.png").symlink_to(outside / "9.png")
    for path, problem in (("b/9", "a file is not there"), ("a/8", "leads out"), ("a/notes", "a file is not there")):
        (pictures / "a" / "notes.txt").write_text("no picture")
        with pytest.raises(DataError, match=problem):
            listing(write(pictures, [*ROWS, (path, "red")]))


def test_of_several_sheets_the_one_with_the_columns_is_read_and_two_wait_for_a_name(pictures: Path) -> None:
    from openpyxl import Workbook

    def book(**sheets: list[tuple[str, ...]]) -> Path:
        made = Workbook()
        made.remove(made.active)
        for name, rows in sheets.items():
            sheet = made.create_sheet(name)
            for row in rows:
                sheet.append(row)
        made.save(pictures / "table.xlsx")
        return pictures / "table.xlsx"

    notes: list[tuple[str, ...]] = [("path", "written by"), ("x", "y")]
    other: list[tuple[str, ...]] = [("path", "label"), ("a/3.png", "red"), ("a/4.png", "white")]
    assert said(listing(book(notes=notes, list=ROWS))) == [("a/1.png", "red"), ("a/2.png", "white")]
    file = book(notes=notes, first=ROWS, second=other)
    with pytest.raises(DataError, match=r"several sheets with the columns.* table_sheet") as refused:
        listing(file)
    assert "'first', 'second'" in refused.value.private and "second" not in refused.value.public
    assert said(listing(file, table_sheet="second")) == [("a/3.png", "red"), ("a/4.png", "white")]
    with pytest.raises(DataError, match="must have the sheet that table_sheet names"):
        listing(file, table_sheet="third")
    with pytest.raises(DataError, match="must have the columns"):
        listing(book(one=notes, two=notes))


def test_letters_of_western_europe_are_not_taken_for_chinese(pictures: Path) -> None:
    rows = [("path", "label"), ("a/1.png", "größer"), ("a/2.png", "für")]
    file = write(pictures, rows, "cp1252")
    with pytest.raises(DataError, match="Set table_encoding"):
        listing(file)
    assert listing(file, table_encoding="cp1252").class_names == ("für", "größer")
    with pytest.raises(DataError, match="not utf-8 throughout"):
        listing(file, table_encoding="utf-8")
    with pytest.raises(DataError, match="UTF-16 without its mark"):
        text_of("path".encode("utf-16-le"), "auto")


def test_names_in_any_script_find_their_files(paint: Paint, tmp_path: Path) -> None:
    paint("图/1.png")
    paint("Bru\u0308che/1.png")  # as a Mac writes it
    rows = [("path", "label"), ("图/1.png", "red"), ("Brüche/1.png", "white")]
    assert len(listing(write(tmp_path, rows)).pictures) == 2


# --- labels ---


def test_findings_are_a_column_each_and_nobody_knows_some(pictures: Path) -> None:
    rows = [("path", "effusion", "mass"), ("a/1.png", "1.0", "0"), ("a/2.png", "", "-1"), ("a/3.png", "true", "no")]
    file = write(pictures, rows)
    found = listing(file, label_kind="multi", label_columns=["effusion", "mass"])
    assert found.label_kind == "multi" and found.class_names == ("effusion", "mass")
    assert [one.labels for one in found.pictures] == [(1, 0), (UNKNOWN, UNKNOWN), (1, 0)]
    with pytest.raises(DataError, match="a finding is neither 0, 1 nor unknown"):
        listing(file, label_kind="multi", label_columns=["effusion", "mass"], unknown_values=["-1"])
    with pytest.raises(ConfigError, match="as many classes"):
        listing(file, label_kind="multi", label_columns=["effusion", "mass"], class_names=["a", "b", "c"])


def test_findings_may_stand_in_one_column(pictures: Path) -> None:
    rows = [
        ("path", "label"),
        ("a/1.png", "mass|effusion"),
        ("a/2.png", "No Finding"),
        ("a/3.png", ""),
        ("a/4.png", "mass"),
    ]
    found = listing(write(pictures, rows), label_kind="multi", label_separator="|")
    assert found.class_names == ("effusion", "mass")
    assert [one.labels for one in found.pictures] == [(1, 1), (0, 0), (UNKNOWN, UNKNOWN), (0, 1)]
    with pytest.raises(ConfigError, match="needs a column for each finding"):
        listing(write(pictures, rows), label_kind="multi")


def test_a_column_for_each_class_has_one_1_in_each_row(pictures: Path) -> None:
    rows = [("path", "red", "white"), ("a/1.png", "0", "1"), ("a/2.png", "1", "0")]
    assert said(listing(write(pictures, rows), label_columns=["red", "white"])) == [
        ("a/1.png", "white"),
        ("a/2.png", "red"),
    ]
    rows[2] = ("a/2.png", "1", "1")
    with pytest.raises(DataError, match="not exactly one class has a 1"):
        listing(write(pictures, rows), label_columns=["red", "white"])


def test_a_hospital_of_several_has_its_own_rows_and_the_classes_of_all(pictures: Path) -> None:
    rows = [
        ("path", "label", "where"),
        ("a/1.png", "red", "Süd"),
        ("a/2.png", "white", "Nord"),
        ("gone.png", "blue", "Nord"),
    ]
    file = write(pictures, rows)
    found = listing(file, site_column="where", site="Su\u0308d")
    assert said(found) == [("a/1.png", "red")] and found.class_names == ("blue", "red", "white")
    for site in ("", "West"):
        with pytest.raises(DataError, match=r"several hospitals'. Set site_column") as caught:
            listing(file, site_column="where", site=site)
        assert "Nord" in caught.value.private and "Nord" not in caught.value.public
    with pytest.raises(DataError, match="several hospitals"):
        listing(file, site="Nord")


def test_reports_are_read_where_they_are_kept(pictures: Path) -> None:
    rows = [("path", "label", "said"), ("a/1.png", "red", 'seen, "twice"\nbelow'), ("a/2.png", "white", " ")]
    file = write(pictures, rows)
    assert [one.report for one in listing(file).pictures] == [None, None]
    found = listing(file, text_length=8, report_column="said")
    assert [one.report for one in found.pictures] == ['seen, "twice"\nbelow', " "]
    with pytest.raises(DataError, match="Name it: report_column"):
        listing(file, text_length=8)


# --- what is wrong ---


def test_everything_that_is_wrong_with_rows_is_said_at_once_and_only_to_the_hospital(pictures: Path) -> None:
    (pictures / "a" / "out.png").symlink_to("/etc/hostname")
    rows = [
        *ROWS,
        ("a/1.png", "red"),
        ("a/2.png", "red"),
        ("a/3.png", "zebra"),
        ("a/4.png", ""),
        ("../secret.png", "red"),
        ("/etc/hostname", "red"),
        ("C:\\pictures\\1.png", "red"),
        ("a/out.png", "red"),
        ("a/missing.png", "red"),
        ("", "red"),
        ("a/" + "x" * 300, "red"),
    ]
    with pytest.raises(DataError) as caught:
        listing(write(pictures, rows), class_names=["red", "white"])
    public, private = caught.value.public, caught.value.private
    for what in (
        "comes twice",
        "has two labels",
        "not among class_names",
        "a label is missing",
        "leads out of data_path",
        "is not there",
        "a path is missing",
    ):
        assert what in public and what in private, what
    assert "in lines 6 (zebra)" in private and "or does not begin there (rows: 4), in lines " in private
    assert not [word for word in ("zebra", "secret", "missing.png", "line") if word in public]


def test_only_the_first_of_many_lines_are_named(pictures: Path) -> None:
    rows = [*ROWS, *((f"gone/{number}.png", "red") for number in range(1000))]
    with pytest.raises(DataError) as caught:
        listing(write(pictures, rows))
    private = caught.value.private
    assert "(rows: 1000), in lines " in private and private.endswith(", ...") and len(private) < 500


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([("file", "label"), ("a/1.png", "red")], {}, "it lacks path"),
        (ROWS, {"label_columns": ["finding"]}, "it lacks finding"),
        (ROWS, {"patient_column": "who"}, "it lacks who"),
        (ROWS, {"label_columns": []}, "label_columns must name"),
        ([("path", "label", "label"), ("a/1.png", "red", "red")], {}, "two columns 'label'"),
        ([("path", "label"), ("a/1.png",)], {}, "as many cells"),
        ([("path", "label"), ("a/1.png", "red", "more")], {}, "as many cells"),
        (
            [("path", "label", "who"), ("a/1.png", "red", ""), ("a/2.png", "white", "p")],
            {"patient_column": "who"},
            "patient",
        ),
        ([("path", "label")], {}, "none below its first line"),
        ([], {}, "name its columns in its first line"),
        ([*ROWS, ("a/3.png", "x" * 65)], {}, "printable"),
    ],
)
def test_what_does_not_fit_is_named(pictures: Path, rows: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listing(write(pictures, rows), **settings)


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet"])
def test_a_table_that_was_changed_anywhere_is_read_or_refused(pictures: Path, kind: str) -> None:
    file = pictures / f"table.{kind}"
    whole = (write(pictures) if kind == "csv" else save(kind, file, ROWS)).read_bytes()
    random = Random(1)
    members = _members(whole) if kind == "xlsx" else {}
    for number in range(MUTATED):
        if members and number % 4:  # beneath the checksums of the parts
            name = random.choice(sorted(members))
            content = _zipped({**members, name: mutated(members[name], random)})
        else:
            content = mutated(whole, random)
        file = pictures / f"changed.{kind}"
        file.write_bytes(content)
        try:
            list_pictures(DatasetSettings(data_path=str(file), size=(2, 2), channels=1))
        except DataError as error:
            assert str(pictures) not in error.public
        except ConfigError:
            continue


def test_a_workbook_that_unpacks_to_more_than_it_may_is_refused_unread(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = save("xlsx", pictures / "table.xlsx", ROWS)
    monkeypatch.setattr(workbook, "MOST_UNPACKED", 1 << 10)
    with pytest.raises(DataError, match="unpacks to more"):
        read_table(table, {"path"})


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def _zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content", [b'path,label\n"a/1.png,red\n', b"PAR1 broken", b"PK\x03\x04 broken", b"\xd0\xcf\x11\xe0 old"]
)
def test_a_damaged_table_is_refused_without_a_word_of_it(pictures: Path, content: bytes) -> None:
    (pictures / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match="Save it") as caught:
        listing(pictures / "table.csv")
    assert "a/1.png" not in caught.value.public + caught.value.private


# --- identity ---


@pytest.mark.parametrize(
    ("head", "values"),
    [
        ("PatientName", ["Qx", "Qy"]),
        ("Geburtsdatum", ["", ""]),
        ("姓名", ["甲", "乙"]),
        ("MRN", ["Q1", "Q2"]),
        ("k", ["Muster^Anna", "Beispiel^Bernd"]),
        ("k", ["1961-03-02", "02.03.1948"]),
    ],
)
def test_a_column_that_looks_like_a_persons_stops_the_listing_until_it_is_named(
    pictures: Path, head: str, values: list[str]
) -> None:
    rows = [(*row, value) for row, value in zip(ROWS, (head, *values), strict=True)]
    with pytest.raises(IdentitySuspected, match="columns that look like") as caught:
        listing(write(pictures, rows))
    assert head in caught.value.private and not any(value and value in caught.value.public for value in values)
    assert len(listing(write(pictures, rows), safe_columns=[head]).pictures) == 2
    assert len(listing(write(pictures, rows), patient_column=head).pictures) == 2 if all(values) else True


def test_a_label_that_looks_like_a_person_is_not_published(pictures: Path) -> None:
    rows = [*ROWS, ("a/3.png", "Muster, Anna")]
    with pytest.raises(IdentitySuspected, match="class names that look like names"):
        listing(write(pictures, rows))


def test_columns_of_labels_that_are_named_after_persons_are_not_published(pictures: Path) -> None:
    """A column for each who labelled, as a table of several readers has them; their names would be classes."""
    readers = ["Dr. Muster", "Prof. Beispiel"]
    file = write(pictures, [("path", *readers), ("a/1.png", "1", "0"), ("a/2.png", "0", "1")])
    with pytest.raises(IdentitySuspected, match="label columns that look like names") as caught:
        listing(file, label_kind="multi", label_columns=readers)
    assert "Muster" in caught.value.private and "Muster" not in caught.value.public
    with pytest.raises(IdentitySuspected, match="label columns"):
        listing(file, label_kind="multi", label_columns=readers, safe_columns=readers[:1])
    for said in ({"class_names": ["a", "b"]}, {"safe_columns": readers}, {"safe_kinds": ["name"]}):
        assert len(listing(file, label_kind="multi", label_columns=readers, **said).pictures) == 2


def test_names_with_a_comma_are_told_so_that_each_is_seen_to_be_one(pictures: Path) -> None:
    readers = ["Muster, Anna", "Beispiel, Bernd"]
    file = write(pictures, [("path", *readers), ("a/1.png", "1", "0"), ("a/2.png", "0", "1")])
    with pytest.raises(IdentitySuspected) as caught:
        listing(file, label_kind="multi", label_columns=readers)
    assert caught.value.private == "2 of the label columns look like names: Beispiel, Bernd; Muster, Anna"


def test_a_table_reads_only_what_is_wanted(tmp_path: Path) -> None:
    rows = [("path", "label", "other"), *((f"{number}.png", "red", "x") for number in range(500))]
    table = read_table(write(tmp_path, rows), ["path"])
    assert list(table.columns) == ["path"] and len(table.columns["path"]) == 500
    assert {head: len(cells) for head, cells in table.samples.items()} == {"path": 200, "label": 200, "other": 200}
