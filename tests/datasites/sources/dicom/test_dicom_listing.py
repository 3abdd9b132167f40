"""Trees and media of DICOM files: which pictures, whose, with which labels; what else was found, with its reason."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from support.dicom_files import FORM, item, made, written
from support.shipped_dicom import FOLDER

from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.dicom.dicom_listing import DicomLabels, list_dicom
from datasites.sources.dicom.found_file import CODED_LABELS, WRITTEN_LABELS
from datasites.sources.dicom.labels import Said
from datasites.sources.dicom.patients import NO_PATIENT, UNCLEAR_PATIENT, patients
from datasites.sources.listing import Listing
from policies.errors import DataError

TWO = [[0, 100], [200, 255]]


def _write(folder: Path, inside: str, **elements: Any) -> str:
    path = folder / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    written(made(elements.pop("values", TWO), **elements), path)
    return inside


def _places(listing: Listing) -> list[str]:
    return [one.picture.place for one in listing.pictures]


def _left_out(listing: Listing) -> dict[str, str]:
    return {one.place: one.reason.code for one in listing.left_out}


# --- trees ---------------------------------------------------------------------------------------------------


def test_files_of_any_name_and_depth_are_listed_in_the_order_of_their_places(tmp_path: Path) -> None:
    for inside in ("b/ward 2/IM0001", "a/1.2.3", "a/x.dcm", "a/y.JPG"):
        _write(tmp_path, inside)
    listing = list_dicom(tmp_path, DicomLabels())
    assert _places(listing) == ["a/1.2.3", "a/x.dcm", "a/y.JPG", "b/ward 2/IM0001"]
    assert listing.class_names == ("a", "b")
    assert [one.labels for one in listing.pictures] == [(0,), (0,), (0,), (1,)]
    assert (listing.own_size, listing.own_channels) == ((2, 2), 1)
    assert listing.pictures[0].picture.pixels(replace(FORM, size=(2, 2)))[:, :, 0].tolist() == TWO


def test_what_else_lies_there_is_named_with_its_reason(tmp_path: Path) -> None:
    _write(tmp_path, "a/picture")
    _write(tmp_path, "a/report", SOPClassUID=uid.BasicTextSRStorage)
    _write(tmp_path, "a/screen", SOPClassUID=uid.SecondaryCaptureImageStorage)
    _write(tmp_path, "a/named", BurnedInAnnotation="YES")
    _write(tmp_path, "a/cine", values=[TWO, TWO], frames=2)
    _write(tmp_path, "no class")
    (tmp_path / "a" / "notes.txt").write_text("notes")
    (tmp_path / "a" / "cut.dcm").write_bytes((tmp_path / "a" / "picture").read_bytes()[:300])
    listing = list_dicom(tmp_path, DicomLabels())
    assert _places(listing) == ["a/picture"]
    assert _left_out(listing) == {
        "a/cine": "several_frames",
        "a/cut.dcm": "other_object",
        "a/named": "burned_in",
        "a/notes.txt": "not_dicom",
        "a/report": "report",
        "a/screen": "secondary_capture",
        "no class": "no_label",
    }


def test_frames_are_all_taken_or_the_middle_one(tmp_path: Path) -> None:
    _write(tmp_path, "a/cine", values=[[[0]], [[1]], [[2]], [[3]]], frames=4)
    _write(tmp_path, "a/still", values=[[7]])
    one = replace(FORM, size=(1, 1))
    every = list_dicom(tmp_path, DicomLabels(), frames="all")
    assert [int(picture.picture.pixels(one)[0, 0, 0]) for picture in every.pictures] == [0, 1, 2, 3, 7]
    assert len({picture.picture.digest() for picture in every.pictures}) == 5
    middle = list_dicom(tmp_path, DicomLabels(), frames="middle")
    assert [int(picture.picture.pixels(one)[0, 0, 0]) for picture in middle.pictures] == [2, 7]
    assert pickle.loads(pickle.dumps(every.pictures[2])).picture.pixels(one)[0, 0, 0] == 2


def test_several_processes_list_the_same(tmp_path: Path) -> None:
    for number in range(6):
        _write(tmp_path, f"{'ab'[number % 2]}/{number}", PatientID=f"P{number}")
    alone = list_dicom(tmp_path, DicomLabels())
    with ProcessPoolExecutor(2) as pool:
        together = list_dicom(tmp_path, DicomLabels(), mapped=partial(pool.map, chunksize=2))
    assert together.pictures == alone.pictures


# --- media ---------------------------------------------------------------------------------------------------


def test_a_dicomdir_lists_its_files_and_a_tree_passes_it_by() -> None:
    medium = FOLDER / "test_files" / "dicomdirtests"
    labels = DicomLabels(source="Modality")
    listing = list_dicom(medium / "DICOMDIR", labels)
    tree = list_dicom(medium, labels)
    assert len(listing.pictures) == 29
    assert _left_out(listing) == {"98892001/CT2N/6293": "localiser", "98892001/CT2N/6924": "localiser"}
    assert sorted(_places(listing)) == sorted(_places(tree))
    assert listing.class_names == ("CR", "CT", "MR")
    assert "DICOMDIR" not in _left_out(tree)


def _medium(folder: Path, *named: tuple[str, ...], kind: str = "IMAGE") -> Path:
    """A DICOMDIR that names these files."""
    records = [item(DirectoryRecordType="PATIENT")]
    records += [item(DirectoryRecordType=kind, ReferencedFileID=list(parts)) for parts in named]
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.SOPClassUID, index.SOPInstanceUID = uid.MediaStorageDirectoryStorage, "1.2.3"
    index.DirectoryRecordSequence = records
    return written(index, folder / "DICOMDIR")


def test_a_medium_that_was_copied_in_small_letters_finds_its_files(tmp_path: Path) -> None:
    _write(tmp_path, "dicom/im1", PatientID="P1")
    _write(tmp_path, "dicom/im2", PatientID="P2")
    index = _medium(tmp_path, ("DICOM", "IM1"), ("DICOM", "IM2"), ("DICOM", "IM3"))
    listing = list_dicom(index, DicomLabels())
    assert _places(listing) == ["dicom/im1", "dicom/im2"]
    assert [one.patient for one in listing.pictures] == ["P1\\", "P2\\"]
    assert _left_out(listing) == {"DICOM/IM3": "not_a_file"}
    other = list_dicom(_medium(tmp_path, ("DICOM", "IM1"), kind="SR DOCUMENT"), DicomLabels(class_names=("dicom",)))
    assert (_places(other), _left_out(other)) == ([], {"DICOM/IM1": "other_object"})


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("parts", [("..", "outside"), ("../outside",), ("a", "", "x"), ("link",), ("/outside",)])
def test_a_medium_cannot_name_files_elsewhere(parts: tuple[str, ...], tmp_path: Path) -> None:
    _write(tmp_path, "outside")
    _write(tmp_path, "medium/a/x")
    (tmp_path / "medium" / "link").symlink_to(tmp_path / "outside")
    listing = list_dicom(_medium(tmp_path / "medium", parts), DicomLabels(class_names=("a",)))
    assert _places(listing) == []
    assert set(_left_out(listing).values()) <= {"leaves_the_folder", "not_a_file"}


def test_a_file_that_is_no_dicomdir_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "picture")
    with pytest.raises(PictureRefused):
        list_dicom(tmp_path / "picture", DicomLabels())


# --- labels --------------------------------------------------------------------------------------------------


def test_labels_come_from_an_attribute_and_missing_ones_are_named(tmp_path: Path) -> None:
    _write(tmp_path, "1", BodyPartExamined="CHEST")
    _write(tmp_path, "2", BodyPartExamined="ABDOMEN")
    _write(tmp_path, "3")
    listing = list_dicom(tmp_path, DicomLabels(source="BodyPartExamined"))
    assert listing.class_names == ("ABDOMEN", "CHEST")
    assert [one.labels for one in listing.pictures] == [(1,), (0,)]
    assert _left_out(listing) == {"3": "no_label"}
    chosen = list_dicom(tmp_path, DicomLabels(source="BodyPartExamined", class_names=("CHEST", "HEAD")))
    assert chosen.class_names == ("CHEST", "HEAD")
    assert _left_out(chosen) == {"2": "other_class", "3": "no_label"}


@pytest.mark.parametrize(
    "attribute",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyDate",
        "AccessionNumber",
        "InstitutionName",
        "OperatorsName",
    ],
)
def test_an_attribute_that_names_somebody_is_no_label(attribute: str, tmp_path: Path) -> None:
    assert attribute not in (*CODED_LABELS, *WRITTEN_LABELS)
    with pytest.raises(DataError, match=attribute):
        list_dicom(tmp_path, DicomLabels(source=attribute, class_names=("a",)))


def test_what_somebody_typed_is_a_label_only_where_all_classes_are_declared(tmp_path: Path) -> None:
    _write(tmp_path, "1", SeriesDescription="T2 axial")
    _write(tmp_path, "2", SeriesDescription="Planted Name, T1")
    with pytest.raises(DataError, match="class_names") as refused:
        list_dicom(tmp_path, DicomLabels(source="SeriesDescription"))
    assert "Planted" not in refused.value.public
    listing = list_dicom(tmp_path, DicomLabels(source="SeriesDescription", class_names=("T1 axial", "T2 axial")))
    assert [one.labels for one in listing.pictures] == [(1,)]
    assert listing.class_names == ("T1 axial", "T2 axial")


@pytest.mark.parametrize(
    "match", ["path", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID"]
)
def test_labels_come_from_a_table_by_any_identifier(match: str, tmp_path: Path) -> None:
    keys: Mapping[str, Any] = {"path": "x/1", "PatientID": "7", "AccessionNumber": "A7"}
    key = keys.get(match, "1.2.7")
    named = {} if match == "path" else {match: key}
    _write(tmp_path, "x/1", **named)
    _write(tmp_path, "x/2", **({} if match == "path" else {match: "1.2.8"}))
    _write(tmp_path, "x/3", **({} if match in ("path", "PatientID", "SOPInstanceUID") else {match: ""}))
    rows = {key: Said((0, 1, -1), patient="from the table", report="words"), "": Said((1, 1, 1))}
    labels = DicomLabels("table", ("a", "b", "c"), "multi", table=rows, table_match=match)
    listing = list_dicom(tmp_path, labels)
    (one,) = listing.pictures
    assert (one.picture.place, one.labels, one.patient, one.report) == ("x/1", (0, 1, -1), "from the table", "words")
    assert _left_out(listing) == {"x/2": "not_in_table", "x/3": "not_in_table"}
    assert listing.label_kind == "multi"


def test_a_table_cannot_name_pictures_by_anything_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="PatientName"):
        list_dicom(tmp_path, DicomLabels("table", ("a",), table={}, table_match="PatientName"))


def test_pictures_of_which_none_says_its_class_are_refused_as_a_whole(tmp_path: Path) -> None:
    _write(tmp_path, "1")
    with pytest.raises(DataError, match="says its class"):
        list_dicom(tmp_path, DicomLabels())


# --- patients ------------------------------------------------------------------------------------------------


def test_a_patient_is_an_identifier_and_who_gave_it() -> None:
    named = [("1", "north"), ("1", "south"), ("2", "north"), ("2", ""), ("3", ""), ("", "north"), ("1", "")]
    north, south, two, two_again, three, nobody, either = patients(named)
    assert len({north, south, two, three}) == 4
    assert two == two_again
    assert (nobody, either) == (NO_PATIENT, UNCLEAR_PATIENT)
    assert patients([("1\\2", ""), ("1", "2")]) != patients([("1", "2"), ("1", "2")])


def test_pictures_without_a_patient_are_left_out_where_patients_are_the_unit(tmp_path: Path) -> None:
    _write(tmp_path, "a/1", PatientID=" 7 ")
    _write(tmp_path, "a/2", PatientID="7", IssuerOfPatientID="north")
    _write(tmp_path, "a/3", PatientID="")
    _write(tmp_path, "a/4", PatientID=None)
    listing = list_dicom(tmp_path, DicomLabels(), patients=True)
    assert [one.patient for one in listing.pictures] == ["7\\north", "7\\north"]
    assert _left_out(listing) == {"a/3": "no_patient", "a/4": "no_patient"}
    assert [one.patient for one in list_dicom(tmp_path, DicomLabels()).pictures][2:] == [None, None]
