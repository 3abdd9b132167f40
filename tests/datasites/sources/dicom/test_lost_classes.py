"""A class of DICOM pictures that loses all its files is told of, wherever its labels come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import uid
from support.dicom_files import made, written

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.found_file import IDENTIFIERS
from datasites.sources.inspection.inspection import inspect_source
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import DataError

TWO = [[0, 100], [200, 255]]


def _write(folder: Path, name: str, **elements: Any) -> Path:
    folder.mkdir(exist_ok=True)
    return written(made(elements.pop("values", TWO), **elements), folder / name)


def _list(source: Path, **settings: Any) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(source), kind="dicom", **settings))


def _table(folder: Path, *rows: str, heads: str = "path,label") -> dict[str, str]:
    (folder / "labels.csv").write_text("\n".join([heads, *rows]), encoding="utf-8")
    return {"labels_from": "table", "table": str(folder / "labels.csv")}


@pytest.mark.parametrize("match", IDENTIFIERS)
@pytest.mark.parametrize(
    "elements",
    [{"values": [TWO, TWO], "frames": 2}, {"BurnedInAnnotation": "YES"}, {"PhotometricInterpretation": "HSV"}],
)
def test_a_class_that_a_table_names_by_identifiers_stops(match: str, elements: dict[str, Any], tmp_path: Path) -> None:
    files = tmp_path / "files"
    for number in (1, 2):
        _write(files, str(number), **{match: f"1.2.{number}"})
    _write(files, "3", **{match: "1.2.3"}, **elements)
    table = _table(tmp_path, "1.2.1,red", "1.2.2,white", "1.2.3,blue")
    with pytest.raises(DataError, match="none of them can be taken") as refused:
        _list(files, table_match=match, **table)
    assert "Class blue, for instance 3" in refused.value.private and "blue" not in refused.value.public
    looked = inspect_source(DatasetSettings(data_path=str(files), kind="dicom", table_match=match, **table))
    assert "none of them can be taken" in looked.problem
    _write(files, "4", **{match: "1.2.4"})
    table = _table(tmp_path, "1.2.1,red", "1.2.2,white", "1.2.3,blue", "1.2.4,blue")
    assert len(_list(files, table_match=match, **table).pictures) == 3


@pytest.mark.parametrize(("cut", "name"), [(200, "IM0003"), (300, "3.dcm"), (0, "3.dcm")])
def test_a_file_that_says_nothing_may_be_of_a_class_that_has_no_picture(cut: int, name: str, tmp_path: Path) -> None:
    files = tmp_path / "files"
    for number in (1, 2):
        _write(files, str(number), PatientID=f"P{number}")
    by_patient = {"table_match": "PatientID", **_table(tmp_path, "P1,red", "P2,white", "P9,blue")}
    assert len(_list(files, **by_patient).pictures) == 2  # the table holds more than this export
    whole = _write(files, name, PatientID="P9").read_bytes()
    (files / name).write_bytes(whole[:cut] if cut else b"zz")
    with pytest.raises(DataError, match="files that do not say which pictures they are") as refused:
        _list(files, **by_patient)
    assert f"Class blue; for instance {name}" in refused.value.private and "blue" not in refused.value.public
    _table(tmp_path, "P1,red", "P2,white", "P9,white")
    assert len(_list(files, **by_patient).pictures) == 2  # its class has others
    _table(tmp_path, "P1,red", "P2,white", "P9,blue")
    (files / name).unlink()
    (files / "README").write_text("no picture")
    _write(files, "report", PatientID="P1", SOPClassUID=uid.BasicTextSRStorage)
    assert len(_list(files, **by_patient).pictures) == 2


def test_a_finding_that_only_a_file_without_a_header_may_have_stops(tmp_path: Path) -> None:
    files = tmp_path / "files"
    for number in (1, 2):
        _write(files, str(number), PatientID=f"P{number}")
    (files / "3.dcm").write_bytes(b"zz")
    columns = {"table_match": "PatientID", "label_kind": "multi", "label_columns": ("mass", "cyst")}
    table = _table(tmp_path, "P1,1,0", "P2,0,0", "P9,1,1", heads="path,mass,cyst")
    with pytest.raises(DataError, match="files that do not say which pictures they are") as refused:
        _list(files, **columns, **table)
    assert "Class cyst" in refused.value.private
    _table(tmp_path, "P1,1,0", "P2,0,1", "P9,1,1", heads="path,mass,cyst")
    assert len(_list(files, **columns, **table).pictures) == 2


@pytest.mark.parametrize("class_names", [(), ("CHEST", "HEAD", "KNEE")])
def test_a_class_by_an_attribute_that_loses_all_its_files_stops(tmp_path: Path, class_names: tuple[str, ...]) -> None:
    for number, part in enumerate(("CHEST", "HEAD")):
        _write(tmp_path, str(number), BodyPartExamined=part)
    _write(tmp_path, "3", BodyPartExamined="KNEE", BurnedInAnnotation="YES")
    with pytest.raises(DataError, match="none of them can be taken") as refused:
        _list(tmp_path, labels_from="BodyPartExamined", class_names=class_names)
    assert "Class KNEE, for instance 3" in refused.value.private and "KNEE" not in refused.value.public
    declared = _list(tmp_path, labels_from="BodyPartExamined", class_names=("CHEST", "HEAD"))
    assert declared.class_names == ("CHEST", "HEAD") and len(declared.pictures) == 2
    safe = _list(tmp_path, labels_from="BodyPartExamined", class_names=class_names, safe_dicom=("burned_in",))
    assert [one.labels for one in safe.pictures] == [(0,), (1,), (2,)]


def test_what_never_was_a_picture_makes_no_class_by_an_attribute(tmp_path: Path) -> None:
    for modality in ("CT", "MR"):
        _write(tmp_path, modality, Modality=modality)
    _write(tmp_path, "report", Modality="SR", SOPClassUID=uid.BasicTextSRStorage)
    _write(tmp_path, "screen", Modality="OT", SOPClassUID=uid.SecondaryCaptureImageStorage)
    assert _list(tmp_path, labels_from="Modality").class_names == ("CT", "MR")
    with pytest.raises(DataError, match="none of them can be taken"):
        _list(tmp_path, labels_from="Modality", class_names=("CT", "MR", "OT"))


def test_a_patient_is_not_another_for_what_a_file_says_that_is_left_out(tmp_path: Path) -> None:
    for number, elements in enumerate(({}, {"BurnedInAnnotation": "YES"})):
        _write(tmp_path, f"{number}", PatientID="7", IssuerOfPatientID=f"ward {number}", Modality="CT", **elements)
    _write(tmp_path, "2", PatientID="7", Modality="MR")
    listing = _list(tmp_path, labels_from="Modality", unit="patient")
    assert [one.patient for one in listing.pictures] == ["7", "7"]
