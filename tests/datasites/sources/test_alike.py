"""One class or hospital that is written in two ways does not become two, and which it is stays at the hospital."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.array_store import listed
from support.dicom_files import made, written
from support.painting import Paint

from datasites.sources.class_names import refuse_alike_classes
from policies.errors import DataError

ALIKE = [
    ("Benign", "benign"),
    ("benign ", "benign"),
    ("no finding", "no  finding"),
    ("no finding", "no\u00a0finding"),
    ("no finding", "No_Finding"),
    ("no finding", "no-finding"),
    ("0", "0.0"),
    ("1", "01"),
    ("1", "\uff11"),
    ("1", "1,0"),
    ("2", "\u0662"),
    ("10", "\u0661\u0660"),
    ("1", "TRUE"),
    ("False", "0"),
    ("STRASSE", "Straße"),
    ("C50", "\u042150"),
    ("benign", "b\u0435nign"),
]
OTHERS = [
    ("1", "-1"),
    ("1", "10"),
    ("grade -1", "grade 1"),
    ("1.5", "1.05"),
    ("1,5", "1,05"),
    ("true positive", "1 positive"),
    ("tumor", "tumors"),
    ("良性", "恶性"),
    ("5 \u00b5m", "5 mm"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_two_ways_to_write_a_name_are_refused_and_named_in_private(first: str, second: str) -> None:
    with pytest.raises(DataError, match="capitals, spaces, letters that look alike or the form of a number") as refused:
        refuse_alike_classes(["malignant", first, second])
    assert first not in refused.value.public
    assert repr(first) in refused.value.private
    assert repr(second) in refused.value.private


@pytest.mark.parametrize("names", OTHERS)
def test_names_that_say_different_things_are_two(names: Sequence[str]) -> None:
    refuse_alike_classes(names)


def _table(folder: Path, *rows: str) -> Path:
    file = folder / "labels.csv"
    file.write_text("\n".join(["path,label,ward", *rows]), encoding="utf-8")
    return file


def test_a_table_that_writes_a_class_in_two_ways_is_refused_unless_both_are_declared(
    tmp_path: Path, paint: Paint
) -> None:
    for number in range(3):
        paint(f"{number}.png")
    file = _table(tmp_path, "0.png,Benign,1", "1.png,benign,1", "2.png,malignant,1")
    with pytest.raises(DataError, match="Two classes have names that differ only"):
        listed(file)
    assert listed(file, class_names=("Benign", "benign", "malignant")).class_names[:2] == ("Benign", "benign")


def test_what_stands_for_no_finding_is_no_finding_in_any_capitals(tmp_path: Path, paint: Paint) -> None:
    for number in range(2):
        paint(f"{number}.png")
    file = _table(tmp_path, "0.png,Mass|Effusion,1", "1.png,No finding,1")
    with pytest.raises(DataError, match="Two classes have names that differ only"):
        listed(file, label_kind="multi", label_separator="|")
    found = listed(file, label_kind="multi", label_separator="|", no_finding="No finding")
    assert [one.labels for one in found.pictures] == [(1, 1), (0, 0)]


def test_rows_of_a_hospital_that_is_written_in_two_ways_are_not_left_out_unseen(tmp_path: Path, paint: Paint) -> None:
    for number in range(3):
        paint(f"{number}.png")
    file = _table(tmp_path, "0.png,a,1", "1.png,b,01", "2.png,b,2")
    with pytest.raises(DataError, match="Two hospitals of the table have names that differ only"):
        listed(file, site="1", site_column="ward")


def test_folders_that_differ_in_capitals_are_not_two_classes_not_even_at_two_hospitals(
    tmp_path: Path, paint: Paint
) -> None:
    for inside in ("n/benign/0.png", "n/malignant/1.png", "s/Benign/2.png", "s/malignant/3.png"):
        paint(inside)
    with pytest.raises(DataError, match="Two classes have names that differ only"):
        listed(tmp_path, site="n")
    assert listed(tmp_path / "s").class_names == ("Benign", "malignant")


def test_dicom_attributes_and_the_names_of_an_archive_are_looked_at_too(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    for number, part in enumerate(("LEFT BREAST", "LEFT_BREAST", "SKULL")):
        dataset = made([[0, 100], [200, 255]], PatientID=f"{number % 2}", BodyPartExamined=part)
        written(dataset, folder / f"{number}.dcm")
    with pytest.raises(DataError, match="Two classes have names that differ only"):
        listed(folder, labels_from="BodyPartExamined")
    np.savez(
        tmp_path / "all.npz",
        images=np.zeros((2, 4, 4), dtype=np.uint8),
        labels=np.arange(2),
        class_names=np.array(["Benign", "benign"]),
    )
    with pytest.raises(DataError, match="Two classes have names that differ only"):
        listed(tmp_path / "all.npz")
