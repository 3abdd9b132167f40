"""Cells that say nothing are no class and no patient; rows of several parts of a data set are not one hospital's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.array_store import listed
from support.dicom_files import made, written
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.patients import NO_PATIENT, patients
from datasites.sources.inspection.foreseen import unknown_findings
from datasites.sources.inspection.inspection import inspect_source
from datasites.sources.read_listing import list_pictures
from policies.errors import DataError, IdentitySuspected

Table = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path, paint: Paint) -> Table:
    """Writes a table with a picture for each row."""

    def write(*rows: str, heads: str = "path,label,more") -> Path:
        for number in range(len(rows)):
            paint(f"{number}.png")
        file = tmp_path / "labels.csv"
        lines = [heads, *(f"{number}.png,{row}" for number, row in enumerate(rows))]
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    return write


@pytest.mark.parametrize("cell", ["NaN", "nan", "N/A", "NA", "#N/A", "#NV", "<NA>", "null", "?", "."])
def test_what_programs_write_into_an_empty_cell_is_no_class(table: Table, cell: str) -> None:
    file = table("red,1", "white,1", f"{cell},1")
    with pytest.raises(DataError, match="a label says that none was filled in") as refused:
        listed(file)
    assert f"in lines 4 ({cell})" in refused.value.private and f"({cell})" not in refused.value.public
    assert listed(file, class_names=("red", "white", cell)).pictures[2].labels == (2,)


@pytest.mark.parametrize("cell", ["NaN", "n/a", "unknown", "None", "anonymous", "未知"])
def test_a_patient_whom_nobody_named_is_missing(table: Table, cell: str) -> None:
    file = table("red,p1", "white,p2", f"red,{cell}")
    with pytest.raises(DataError, match="a patient is missing") as refused:
        listed(file, patient_column="more")
    assert "in lines 4" in refused.value.private
    assert patients([(cell, ""), ("p1", "")]) == [NO_PATIENT, "p1"]


@pytest.mark.parametrize("cell", ["1.23457E+15", '"1,2E+10"', "1E+12"])
def test_patients_whose_numbers_were_rounded_are_not_taken_for_one(table: Table, cell: str) -> None:
    file = table("red,n,1E15", f"white,n,{cell}", f"red,s,{cell}", heads="path,label,ward,who")
    with pytest.raises(DataError, match="number was rounded by a spreadsheet") as refused:
        listed(file, site="n", site_column="ward", patient_column="who")
    assert "(rows: 1), in lines 3" in refused.value.private and "E+" not in refused.value.public


def test_a_formula_that_keeps_zeros_is_the_text_that_a_spreadsheet_shows(table: Table) -> None:
    file = table('="red",="0012"', 'white,"=""0012"""', 'red,"=""a """"b"""', 'white,"=""00"', "white,=12")
    found = listed(file, patient_column="more")
    assert found.class_names == ("red", "white")
    assert [one.patient for one in found.pictures] == ["0012", "0012", 'a "b', '="00', "=12"]


def test_a_file_with_other_capitals_is_named_as_that_and_not_taken(table: Table, tmp_path: Path) -> None:
    file = table("red,1", "white,2")
    (tmp_path / "Sub").mkdir()
    (tmp_path / "1.png").rename(tmp_path / "Sub" / "IMG.PNG")
    (tmp_path / "out").symlink_to("/etc")
    named = {"sub/img.png": True, "SUB/IMG": False, "Sub/other.png": False, "OUT/hostname": False}
    for path, is_other in named.items():
        file.write_text(f"path,label\n0.png,red\n{path},white\n")
        with pytest.raises(DataError, match="a file is not there") as refused:
            listed(file)
        assert ("one whose name has other capitals is" in refused.value.public) is is_other, path


def test_a_finding_of_which_nobody_knows_is_told_before_an_ingest(table: Table) -> None:
    file = table("1,", "0,", "1,-1", "0,", heads="path,mass,cyst")
    settings = DatasetSettings(data_path=str(file), label_kind="multi", label_columns=("mass", "cyst"))
    found = list_pictures(settings)
    assert [note for note in unknown_findings(found) if "'cyst'" in note] == list(unknown_findings(found)) != []


def test_nobody_is_no_patient_of_two_hospitals(table: Table) -> None:
    file = table("red,n,p1", "white,n,p2", "red,s,NaN", "red,s,p1", heads="path,label,ward,who")
    found = listed(file, site="n", site_column="ward", patient_column="who")
    assert found.patients_elsewhere == {"p1"}


@pytest.mark.parametrize("cell", ["", "NaN"])
@pytest.mark.parametrize("site", ["", "n"])
def test_rows_that_name_no_hospital_are_neither_left_out_nor_taken_for_its_own(
    table: Table, cell: str, site: str
) -> None:
    file = table("red,n", "white,n", f"red,{cell}", "white,s", heads="path,label,ward")
    with pytest.raises(DataError, match=r"a hospital is missing|The table is several hospitals'") as refused:
        listed(file, site=site, site_column="ward")
    assert ("in lines 4" in refused.value.private) == (site == "n" or not cell)


@pytest.mark.parametrize("head", ["split", "Subset", "dataset", "train_test", "划分"])
def test_rows_to_measure_models_on_are_not_trained_on_unless_the_hospital_says_so(table: Table, head: str) -> None:
    many = ["red,train", "white,train"] * 150
    file = table(*many, "red,test", heads=f"path,label,{head}")
    with pytest.raises(DataError, match="which part of a data set each picture is of") as refused:
        listed(file)
    assert refused.value.private == f"Column {head}: test, train"
    assert len(listed(file, site_column=head, site="train").pictures) == 300
    assert len(listed(file, safe_columns=(head,)).pictures) == 301


@pytest.mark.parametrize(
    ("head", "train", "test"),
    [
        ("is_train", "1", "0"),
        ("isTrain", "True", "False"),
        ("in training set", "yes", "no"),
        ("is_test", "0.0", "1.0"),
        ("fold", "train", "test"),
        ("partición", "entrenamiento", "prueba"),
    ],
)
def test_a_column_of_folds_or_of_yes_and_no_tells_parts_too(table: Table, head: str, train: str, test: str) -> None:
    file = table(f"red,{train}", f"white,{train}", f"red,{test}", heads=f"path,label,{head}")
    with pytest.raises(DataError, match="which part of a data set each picture is of"):
        listed(file)
    assert len(listed(file, site_column=head, site=train).pictures) == 2
    assert len(listed(file, safe_columns=(head,)).pictures) == 3


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("fold", ("0", "1", "2")),
        ("is_train", ("1", "1", "1")),
        ("is_training", ("1", "2", "0")),
        ("is_valid", ("1", "0", "1")),
        ("test", ("1", "0", "1")),
    ],
)
def test_numbered_folds_and_other_yes_and_no_are_no_parts(table: Table, head: str, cells: tuple[str, ...]) -> None:
    rows = [f"{kind},{cell}" for kind, cell in zip(("red", "white", "red"), cells, strict=True)]
    assert len(listed(table(*rows, heads=f"path,label,{head}")).pictures) == 3


def test_a_column_of_one_part_or_of_other_words_stops_nothing(table: Table) -> None:
    assert len(listed(table("red,train", "white,train", heads="path,label,split")).pictures) == 2
    assert len(listed(table("red,A", "white,B", heads="path,label,split")).pictures) == 2


def test_parts_in_a_table_of_dicom_files_are_seen_too(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    for name in ("1.dcm", "2.dcm"):
        written(made([[0, 100], [200, 255]]), folder / name)
    file = tmp_path / "labels.csv"
    file.write_text("path,label,split\n1.dcm,red,train\n2.dcm,white,val\n", encoding="utf-8")
    with pytest.raises(DataError, match="which part of a data set each picture is of"):
        listed(folder, labels_from="table", table=str(file))


@pytest.mark.parametrize(
    ("heads", "columns"),
    [("path,label", ["label"]), ("path,Dr. Muster,Prof. Beispiel", ["Dr. Muster", "Prof. Beispiel"])],
)
def test_classes_of_a_table_of_dicom_files_that_look_like_persons_are_not_published(
    heads: str, columns: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    for name in ("1.dcm", "2.dcm"):
        written(made([[0, 100], [200, 255]]), folder / name)
    file = tmp_path / "labels.csv"
    cells = ['1.dcm,"Muster, Anna"', "2.dcm,white"] if len(columns) == 1 else ["1.dcm,1,0", "2.dcm,0,1"]
    file.write_text("\n".join([heads, *cells, ""]), encoding="utf-8")
    with pytest.raises(IdentitySuspected, match="that look like names"):
        listed(folder, labels_from="table", table=str(file), label_columns=columns)


@pytest.mark.parametrize("bad", ["x.heic", "film.tif", "note.txt"])
@pytest.mark.parametrize("class_names", [(), ("blue", "red", "white")])
def test_a_class_of_which_no_named_file_is_read_is_not_published_empty(
    table: Table, tmp_path: Path, bad: str, class_names: tuple[str, ...]
) -> None:
    file = table(*["red,n", "white,n"] * 75, heads="path,label,ward")
    _unread(tmp_path / bad)
    with file.open("a", encoding="utf-8") as rows:
        rows.write(f"\n{bad},blue,n\n")
    for settings in ({}, {"site_column": "ward", "site": "n"}):
        with pytest.raises(DataError, match="none of them can be taken") as refused:
            listed(file, class_names=class_names, **settings)
        assert f"Class blue, for instance {bad}" in refused.value.private and "blue" not in refused.value.public
    _unread(tmp_path / "more.heic")
    file.write_text(file.read_text(encoding="utf-8").replace(f"{bad},blue", "more.heic,red"), encoding="utf-8")
    assert len(listed(file).pictures) == 150  # its class has others


def test_a_class_whose_dicom_files_are_all_left_out_stops_too(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    for name in ("1.dcm", "2.dcm", "4.dcm"):
        written(made([[0, 100], [200, 255]]), folder / name)
    (folder / "3.dcm").write_bytes(b"zz")
    file = tmp_path / "labels.csv"
    rows = "path,label\n1.dcm,red\n2.dcm,white\n3.dcm,blue\n"
    columns = {"kind": "dicom", "labels_from": "table", "table": str(file), "unit": "picture", "table_match": "path"}
    file.write_text(rows, encoding="utf-8")
    with pytest.raises(DataError, match="none of them can be taken") as refused:
        listed(folder, **columns)
    assert "Class blue, for instance 3.dcm" in refused.value.private
    file.write_text(f"{rows}4.dcm,blue\n", encoding="utf-8")
    assert len(listed(folder, **columns).pictures) == 3


def test_a_finding_that_nobody_has_any_more_is_not_published(table: Table, tmp_path: Path) -> None:
    columns = {"label_kind": "multi", "label_columns": ("mass", "cyst")}
    file = table("1,0", "0,0", heads="path,mass,cyst")
    assert len(listed(file, **columns).pictures) == 2  # that nobody had it is no loss
    _unread(tmp_path / "x.heic")
    with file.open("a", encoding="utf-8") as rows:
        rows.write("\nx.heic,1,1\n")
    with pytest.raises(DataError, match="with a finding, and none of them can be taken") as refused:
        listed(file, **columns)
    assert "Class cyst, for instance x.heic" in refused.value.private


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        ("grp", ("train", "test")),
        ("cohort", ("Training set", "val")),
        ("用途", ("训练集", "测试集")),
        ("image_set", ("entrenamiento", "prueba")),
        ("", ("train", "holdout")),
    ],
)
def test_a_column_in_which_nothing_but_parts_stands_tells_them_whatever_its_name(
    table: Table, head: str, parts: tuple[str, str]
) -> None:
    train, test = parts
    many = [f"red,{train} ", f"white,{train}"] * 101
    file = table(*many, "red,NaN", f"red,{test}", heads=f"path,label,{head}")
    with pytest.raises(DataError, match="which part of a data set each picture is of") as refused:
        listed(file)
    assert refused.value.private == f"Column {head}: {', '.join(sorted(parts))}"
    seen = inspect_source(DatasetSettings(data_path=str(file)))
    assert "which part of a data set" in seen.problem and seen.problem_details == [refused.value.private]
    assert seen.classes == {"red": 103, "white": 101}
    assert len(listed(file, safe_columns=(head,)).pictures) == 204
    if head:
        assert len(listed(file, site_column=head, site=train).pictures) == 202


@pytest.mark.parametrize("head", ["split", "Subset", "train_test", "partition"])
@pytest.mark.parametrize("cells", [("0", "1", "0"), ("0", "1", "2"), ("1.0", "2.0", "")])
def test_numbers_in_a_column_of_parts_are_asked_about(table: Table, head: str, cells: tuple[str, ...]) -> None:
    rows = [f"{kind},{cell}" for kind, cell in zip(("red", "white", "red"), cells, strict=True)]
    file = table(*rows, heads=f"path,label,{head}")
    with pytest.raises(DataError, match="seems to say which part of a data set") as refused:
        listed(file)
    assert refused.value.private == f"Column {head}: {', '.join(sorted({*cells} - {''}))}"
    assert len(listed(file, safe_columns=(head,)).pictures) == 3
    assert len(listed(file, site_column=head, site=cells[0]).pictures) == cells.count(cells[0])


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("grp", ("0", "1", "0")),
        ("grp", ("train", "train", "train")),
        ("grp", ("test", "val", "test")),
        ("grp", ("train", "test", "phantom")),
        ("split", ("1", "1", "1")),
        ("set", ("4711", "4712.5", "4713")),
    ],
)
def test_other_words_and_numbers_are_no_parts(table: Table, head: str, cells: tuple[str, ...]) -> None:
    rows = [f"{kind},{cell}" for kind, cell in zip(("red", "white", "red"), cells, strict=True)]
    assert len(listed(table(*rows, heads=f"path,label,{head}")).pictures) == 3


def test_many_numbers_and_long_cells_are_no_parts(table: Table) -> None:
    rows = [f"{kind},{number},{'train ' * number}" for number, kind in enumerate(("red", "white") * 40)]
    assert len(listed(table(*rows, heads="path,label,split,grp")).pictures) == 80


def _unread(file: Path) -> None:
    """A file of which no picture is taken: of several frames, or of no format."""
    if file.suffix != ".tif":
        file.write_bytes(b"zz")
        return
    frames = [Image.new("RGB", (4, 4)) for _ in range(2)]
    frames[0].save(file, save_all=True, append_images=frames[1:])
