"""Trees and media of DICOM files: which pictures, whose, with which labels; what else was found, with its reason."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from support import made_files
from support.dicom_files import FORM, item, made, written
from support.shipped_dicom import FOLDER

from datasites.sources.dataset_settings import DICOM_KINDS, DatasetSettings
from datasites.sources.dicom.found_file import CODED_LABELS, IDENTIFIERS, WRITTEN_LABELS
from datasites.sources.dicom.patients import NO_PATIENT, UNCLEAR_PATIENT, patients
from datasites.sources.dicom.stops import SAFE_KINDS
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError, DataError, IdentitySuspected
from researcher.evaluation.hold_out import load_hold_out

PNG = made_files.png(np.zeros((2, 2), dtype=np.uint8), bits=8)
TWO = [[0, 100], [200, 255]]


def _write(folder: Path, inside: str, **elements: Any) -> str:
    path = folder / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    written(made(elements.pop("values", TWO), **elements), path)
    return inside


def _list(source: Path, **settings: Any) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(source), kind="dicom", **settings))


def _places(listing: Listing) -> list[str]:
    return [one.picture.place for one in listing.pictures]


def _left_out(listing: Listing) -> dict[str, str]:
    return {one.place: one.reason.code for one in listing.left_out}


# --- trees ---------------------------------------------------------------------------------------------------


def test_files_of_any_name_and_depth_are_listed_in_the_order_of_their_places(tmp_path: Path) -> None:
    for inside in ("b/ward 2/IM0001", "a/w/1.2.3", "a/w/x/y.dcm", "a/w/z.JPG"):
        _write(tmp_path, inside)
    listing = list_pictures(DatasetSettings(data_path=str(tmp_path), folder_levels=("class", "other")))
    assert _places(listing) == ["a/w/1.2.3", "a/w/x/y.dcm", "a/w/z.JPG", "b/ward 2/IM0001"]
    assert listing.class_names == ("a", "b")
    assert [one.labels for one in listing.pictures] == [(0,), (0,), (0,), (1,)]
    assert (listing.own_size, listing.own_channels) == ((2, 2), 1)
    assert listing.pictures[0].picture.pixels(replace(FORM, size=(2, 2)))[:, :, 0].tolist() == TWO


def test_what_else_lies_there_is_named_with_its_reason(tmp_path: Path) -> None:
    _write(tmp_path, "a/picture")
    _write(tmp_path, "b/picture")
    _write(tmp_path, "a/report", SOPClassUID=uid.BasicTextSRStorage)
    _write(tmp_path, "a/screen", SOPClassUID=uid.SecondaryCaptureImageStorage)
    _write(tmp_path, "a/named", BurnedInAnnotation="YES")
    _write(tmp_path, "a/cine", values=[TWO, TWO], frames=2)
    (tmp_path / "a" / "notes.txt").write_text("notes")
    (tmp_path / "a" / "cut.dcm").write_bytes((tmp_path / "a" / "picture").read_bytes()[:300])
    (tmp_path / "a" / ".DS_Store").write_bytes(b"x")
    listing = _list(tmp_path)
    assert _places(listing) == ["a/picture", "b/picture"]
    assert _left_out(listing) == {
        "a/.DS_Store": "system_file",
        "a/cine": "several_frames",
        "a/cut.dcm": "dicom_cut_off",
        "a/named": "burned_in",
        "a/notes.txt": "not_dicom",
        "a/report": "report",
        "a/screen": "secondary_capture",
    }
    assert {one.place for one in listing.left_out if one.lost} == {"a/cine", "a/cut.dcm", "a/named"}
    safe = _list(tmp_path, safe_dicom=("burned_in", "secondary_capture"))
    assert _places(safe) == ["a/named", "a/picture", "a/screen", "b/picture"]


@pytest.mark.parametrize("content", [b"no picture at all", PNG, b""])
def test_a_class_of_which_no_file_is_read_is_not_dropped(tmp_path: Path, content: bytes) -> None:
    for name in ("benign", "normal"):
        _write(tmp_path, f"{name}/1.dcm")
        _write(tmp_path, f"{name}/2.dcm")
    (tmp_path / "malignant").mkdir()
    (tmp_path / "malignant" / ".DS_Store").write_bytes(b"x")
    assert _list(tmp_path).class_names == ("benign", "normal")
    (tmp_path / "malignant" / "1.dcm").write_bytes(content)
    with pytest.raises(DataError, match="A class folder holds files, and none of them is a picture") as caught:
        _list(tmp_path)
    assert "malignant" in caught.value.private and "malignant" not in caught.value.public
    with pytest.raises(DataError, match="A class folder holds files"):
        _list(tmp_path, class_names=("benign", "malignant", "normal"))
    assert len(_list(tmp_path, class_names=("benign", "normal")).pictures) == 4
    with pytest.raises(DataError, match="A class folder holds files"):
        load_hold_out(tmp_path)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("cut.dcm", True),
        ("other.png", True),
        ("IM0001", True),
        ("1.2.840.10008.1", True),
        ("README", False),
        ("notes.txt", False),
    ],
)
def test_a_file_that_is_called_like_a_picture_and_begins_as_none_is_lost(tmp_path: Path, name: str, lost: bool) -> None:
    for inside in ("a/1.dcm", "b/1.dcm"):
        _write(tmp_path, inside)
    (tmp_path / "a" / name).write_bytes(b"no DICOM file")
    (found,) = _list(tmp_path).left_out
    assert (found.reason.code, found.lost) == ("not_dicom", lost)


def test_frames_are_all_taken_or_the_middle_one(tmp_path: Path) -> None:
    _write(tmp_path, "a/cine", values=[[[0]], [[1]], [[2]], [[3]]], frames=4)
    _write(tmp_path, "b/still", values=[[7]])
    one = replace(FORM, size=(1, 1))
    every = _list(tmp_path, frames="all")
    assert [int(picture.picture.pixels(one)[0, 0, 0]) for picture in every.pictures] == [0, 1, 2, 3, 7]
    assert len({picture.picture.digest() for picture in every.pictures}) == 5
    assert {picture.patient for picture in every.pictures} == {"PLANTED-ID"}
    middle = _list(tmp_path, frames="middle")
    assert [int(picture.picture.pixels(one)[0, 0, 0]) for picture in middle.pictures] == [2, 7]
    assert pickle.loads(pickle.dumps(every.pictures[2])).picture.pixels(one)[0, 0, 0] == 2


def test_the_folder_of_one_hospital_is_taken_where_there_are_several(tmp_path: Path) -> None:
    for inside in ("north/a/1", "north/b/2", "south/a/3"):
        _write(tmp_path, inside)
    assert _places(_list(tmp_path, site="north")) == ["a/1", "b/2"]
    with pytest.raises(DataError, match="west"):
        _list(tmp_path, site="west")
    with pytest.raises(ConfigError, match="site"):
        _list(tmp_path, folder_levels=("site", "class"))


def test_the_kinds_that_settings_know_are_those_that_wait_for_a_person() -> None:
    assert tuple(SAFE_KINDS) == DICOM_KINDS
    with pytest.raises(ConfigError, match="safe_dicom"):
        DatasetSettings(safe_dicom=("report",))


@pytest.mark.parametrize("sop_class", [uid.VideoEndoscopicImageStorage, uid.UltrasoundMultiFrameImageStorage])
def test_a_film_is_told_by_its_syntax_and_counts_as_lost(sop_class: uid.UID, tmp_path: Path) -> None:
    for number, modality in enumerate(("CT", "MR")):
        _write(tmp_path, str(number), PatientID="P1", Modality=modality)
    film = made([[0, 1]], SOPClassUID=sop_class, BurnedInAnnotation="NO", NumberOfFrames=90)
    film.PixelData = encapsulate([b"\0\0\0\x18ftypmp42"])
    written(film, tmp_path / "film", uid.MPEG4HP41)
    for frames in ("one", "all"):
        listing = _list(tmp_path, labels_from="Modality", frames=frames)
        assert _left_out(listing) == {"film": "dicom_syntax"}
        assert [one.lost for one in listing.left_out] == [True]


# --- media ---------------------------------------------------------------------------------------------------


def test_a_dicomdir_lists_its_files_and_a_tree_passes_it_by() -> None:
    medium = FOLDER / "test_files" / "dicomdirtests"
    listing = list_pictures(DatasetSettings(data_path=str(medium / "DICOMDIR"), labels_from="Modality"))
    tree = _list(medium, labels_from="Modality")
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
    _write(tmp_path, "ct/im1", PatientID="P1")
    _write(tmp_path, "mr/im2", PatientID="P2")
    index = _medium(tmp_path, ("CT", "IM1"), ("MR", "IM2"), ("MR", "IM3"))
    listing = _list(index)
    assert _places(listing) == ["ct/im1", "mr/im2"]
    assert [one.patient for one in listing.pictures] == ["P1", "P2"]
    assert _left_out(listing) == {"MR/IM3": "not_a_file"}
    with pytest.raises(DataError, match="No DICOM picture") as refused:
        _list(_medium(tmp_path, ("CT", "IM1"), kind="SR DOCUMENT"))
    assert "CT/IM1" in refused.value.private


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("parts", [("..", "outside"), ("../outside",), ("a", "", "x"), ("link",), ("/outside",)])
def test_a_medium_cannot_name_files_elsewhere(parts: tuple[str, ...], tmp_path: Path) -> None:
    _write(tmp_path, "outside")
    _write(tmp_path, "medium/a/x")
    (tmp_path / "medium" / "link").symlink_to(tmp_path / "outside")
    listing = _list(_medium(tmp_path / "medium", parts, ("a", "x")), class_names=("a", "b"))
    assert _places(listing) == ["a/x"]
    assert set(_left_out(listing).values()) <= {"leaves_the_folder", "not_a_file"}
    assert len(listing.left_out) == 1


def test_a_file_that_is_no_dicomdir_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "picture")
    with pytest.raises(DataError, match="DICOMDIR"):
        _list(tmp_path / "picture")


# --- labels --------------------------------------------------------------------------------------------------


def test_labels_come_from_an_attribute_and_missing_ones_are_named(tmp_path: Path) -> None:
    _write(tmp_path, "1", BodyPartExamined="CHEST")
    _write(tmp_path, "2", BodyPartExamined="ABDOMEN")
    _write(tmp_path, "3")
    listing = _list(tmp_path, labels_from="BodyPartExamined")
    assert listing.class_names == ("ABDOMEN", "CHEST")
    assert [one.labels for one in listing.pictures] == [(1,), (0,)]
    assert _left_out(listing) == {"3": "no_label"}
    chosen = _list(tmp_path, labels_from="BodyPartExamined", class_names=("CHEST", "HEAD"))
    assert chosen.class_names == ("CHEST", "HEAD")
    assert _left_out(chosen) == {"2": "other_class", "3": "no_label"}
    assert [one.lost for one in chosen.left_out] == [False, True]


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
    with pytest.raises(ConfigError, match=attribute):
        _list(tmp_path, labels_from=attribute, class_names=("a", "b"))


def test_what_somebody_typed_is_a_label_only_where_all_classes_are_declared(tmp_path: Path) -> None:
    _write(tmp_path, "1", SeriesDescription="T2 axial")
    _write(tmp_path, "2", SeriesDescription="Planted Name, T1")
    with pytest.raises(ConfigError, match="class_names") as refused:
        _list(tmp_path, labels_from="SeriesDescription")
    assert "Planted" not in refused.value.public
    listing = _list(tmp_path, labels_from="SeriesDescription", class_names=("T1 axial", "T2 axial"))
    assert [one.labels for one in listing.pictures] == [(1,)]
    assert listing.class_names == ("T1 axial", "T2 axial")


def test_folders_of_patients_are_not_taken_for_classes(tmp_path: Path) -> None:
    for number in range(3):
        for picture in range(2):
            _write(tmp_path, f"folder {number}/{picture}", PatientID=f"P{number}")
    with pytest.raises(IdentitySuspected, match="one patient") as refused:
        _list(tmp_path)
    assert "folder" not in refused.value.public.replace("folder_levels", "")
    declared = _list(tmp_path, class_names=("folder 0", "folder 1", "folder 2"))
    assert len(declared.pictures) == 6
    _write(tmp_path, "folder 3/0", PatientID="P2")  # an examination more of a patient
    with pytest.raises(IdentitySuspected, match="one patient"):
        _list(tmp_path)
    _write(tmp_path, "folder 0/3", PatientID="P1")
    assert len(_list(tmp_path).pictures) == 8


def test_a_folder_that_is_called_like_a_person_is_no_class(tmp_path: Path) -> None:
    for inside in ("Mueller, Anna 1950-01-01/1", "b/2"):
        _write(tmp_path, inside)
    with pytest.raises(IdentitySuspected) as refused:
        _list(tmp_path)
    assert "Mueller" not in refused.value.public
    assert "Mueller" in refused.value.private


def test_pictures_in_no_or_too_many_folders_are_not_guessed_at(tmp_path: Path) -> None:
    _write(tmp_path, "P1/study/series/1")
    with pytest.raises(DataError, match="folder_levels"):
        _list(tmp_path)
    _write(tmp_path / "flat", "1")
    with pytest.raises(DataError, match="folder"):
        _list(tmp_path / "flat")


# --- tables --------------------------------------------------------------------------------------------------


def _table(folder: Path, text: str) -> str:
    (folder / "labels.csv").write_text(text)
    return str(folder / "labels.csv")


@pytest.mark.parametrize("match", ["path", *IDENTIFIERS])
def test_labels_come_from_a_table_by_any_identifier(match: str, tmp_path: Path) -> None:
    keys: Mapping[str, Any] = {"path": "x/1", "PatientID": "7", "AccessionNumber": "A7"}
    key = keys.get(match, "1.2.7")
    _write(tmp_path / "files", "x/1", **({} if match == "path" else {match: key}))
    _write(tmp_path / "files", "x/2", **({} if match == "path" else {match: "1.2.8"}))
    table = _table(tmp_path, f"path,mass,effusion,who,report\n{key},0,-1,from the table,words\n9.9,1,1,x,y\n")
    listing = _list(
        tmp_path / "files",
        labels_from="table",
        table=table,
        table_match=match,
        label_columns=("mass", "effusion"),
        label_kind="multi",
        patient_column="who",
        report_column="report",
        text_length=4,
    )
    (one,) = listing.pictures
    assert (one.picture.place, one.labels, one.patient, one.report) == ("x/1", (0, -1), "from the table", "words")
    assert _left_out(listing) == {"x/2": "not_in_table", "labels.csv, line 3": "no_such_picture"}
    assert (listing.label_kind, listing.class_names) == ("multi", ("mass", "effusion"))


def test_a_table_of_patients_labels_every_picture_of_theirs(tmp_path: Path) -> None:
    for number, patient in enumerate(("P1", "P1", "P2")):
        _write(tmp_path / "files", str(number), PatientID=patient, IssuerOfPatientID="north")
    table = _table(tmp_path, "path,label\nP1,sick\nP2,well\n")
    listing = _list(tmp_path / "files", labels_from="table", table=table, table_match="PatientID", unit="patient")
    assert [(one.labels, one.patient) for one in listing.pictures] == [
        ((0,), "P1"),
        ((0,), "P1"),
        ((1,), "P2"),
    ]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("P1,a\nP1,b\n", "two labels"),
        ("P1,a\nP1,a\n,b\n", "missing"),
        ("P1,a\nP2,\n", "label is missing"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(rows: str, problem: str, tmp_path: Path) -> None:
    _write(tmp_path / "files", "1", PatientID="P1")
    table = _table(tmp_path, f"path,label\n{rows}P3,a\nP4,b\n")
    with pytest.raises(DataError, match=problem) as refused:
        _list(tmp_path / "files", labels_from="table", table=table, table_match="PatientID")
    assert "P1" not in refused.value.public


def test_several_labels_need_a_table_and_labels_of_a_table_one_that_is_given(tmp_path: Path) -> None:
    _write(tmp_path, "a/1")
    with pytest.raises(ConfigError, match="table"):
        _list(tmp_path, label_kind="multi")
    with pytest.raises(ConfigError, match="table"):
        _list(tmp_path, labels_from="table")


# --- patients ------------------------------------------------------------------------------------------------


def test_a_patient_is_an_identifier_and_who_gave_it() -> None:
    named = [("1", "north"), ("1", "south"), ("2", "north"), ("2", ""), ("3", ""), ("", "north"), ("1", "")]
    north, south, two, two_again, three, nobody, either = patients(named)
    assert len({north, south, two, three}) == 4
    assert two == two_again
    assert (nobody, either) == (NO_PATIENT, UNCLEAR_PATIENT)
    assert patients([("1\\2", ""), ("1", "2")]) != patients([("1", "2"), ("1", "2")])
    assert (two, three) == ("2", "3")  # as a table names them, and who takes them out
    assert patients([("2", "")]) == patients([("2", "north")]) == patients([("2", "south")]) == [two]


def test_pictures_without_a_patient_are_left_out_where_patients_are_the_unit(tmp_path: Path) -> None:
    _write(tmp_path, "a/1", PatientID=" 7 ")
    _write(tmp_path, "b/2", PatientID="7", IssuerOfPatientID="north")
    _write(tmp_path, "a/3", PatientID="")
    _write(tmp_path, "a/4", PatientID=None)
    listing = _list(tmp_path, unit="patient")
    assert [one.patient for one in listing.pictures] == ["7", "7"]
    assert _left_out(listing) == {"a/3": "no_patient", "a/4": "no_patient"}
    assert [one.patient for one in _list(tmp_path).pictures] == ["7", None, None, "7"]
