"""What may show who a patient is waits for a person; what is no picture is left out; each says why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom import Sequence, uid
from support.dicom_files import item, made, written

from datasites.picture_files.dicom.described import described
from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.dicom import stops
from datasites.sources.dicom.found_file import find
from datasites.sources.dicom.frames import dicom_frames

ROW = [[0, 1]]


def _stopped(folder: Path, safe: tuple[str, ...] = (), **elements: Any) -> str:
    found, _ = find(written(made(ROW, **elements), folder / "made.dcm"))
    reason = stops.stop(found, safe)
    return "" if reason is None else reason.code


SLIDE = {"SOPClassUID": uid.VLWholeSlideMicroscopyImageStorage, "Modality": "SM"}
STOPPED: list[tuple[dict[str, Any], str]] = [
    ({"BurnedInAnnotation": "YES"}, "burned_in"),
    ({"SpecimenLabelInImage": "YES"}, "burned_in"),
    ({"RecognizableVisualFeatures": "YES"}, "recognisable"),
    ({"SOPClassUID": uid.SecondaryCaptureImageStorage, "BurnedInAnnotation": "NO"}, "secondary_capture"),
    ({"SOPClassUID": uid.MultiFrameTrueColorSecondaryCaptureImageStorage}, "secondary_capture"),
    ({"ConversionType": "DF"}, "secondary_capture"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "secondary_capture"),
    ({"SOPClassUID": uid.UltrasoundImageStorage, "Modality": "US"}, "burned_in_unknown"),
    ({"Modality": "OT"}, "burned_in_unknown"),
    ({"Modality": "XC"}, "burned_in_unknown"),
    ({"Modality": "ES", "BurnedInAnnotation": ""}, "burned_in_unknown"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL"]}, "slide_label"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
    ({**SLIDE, "ImageType": ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]}, "smaller_copy"),
    ({**SLIDE, "ImageType": ["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"]}, "smaller_copy"),
]


@pytest.mark.parametrize(("elements", "kind"), STOPPED)
def test_a_kind_waits_for_a_person_until_it_is_named_safe(elements: dict[str, Any], kind: str, tmp_path: Path) -> None:
    assert _stopped(tmp_path, **elements) == kind
    others = tuple(set(stops.SAFE_KINDS) - {kind})
    assert _stopped(tmp_path, others, **elements) == kind
    assert _stopped(tmp_path, (kind, "burned_in_unknown"), **elements) == ""


@pytest.mark.parametrize("group", [0x6000, 0x601E, 0x5000])
def test_overlays_and_curves_beside_the_pixels_are_seen_in_every_group(group: int, tmp_path: Path) -> None:
    drawn = made(ROW)
    drawn.add_new((group << 16) | 0x0010, "US", 1)
    found, _ = find(written(drawn, tmp_path / "made.dcm"))
    reason = stops.stop(found, ())
    assert reason is not None
    assert reason.code == "graphics"


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        (uid.EncapsulatedPDFStorage, "document"),
        (uid.EncapsulatedCDAStorage, "document"),
        (uid.BasicTextSRStorage, "report"),
        (uid.KeyObjectSelectionDocumentStorage, "report"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "presentation"),
        (uid.RTDoseStorage, "other_object"),
        (uid.RTImageStorage, "other_object"),
        (uid.SegmentationStorage, "other_object"),
        (uid.ParametricMapStorage, "other_object"),
        (uid.RawDataStorage, "other_object"),
        (uid.TwelveLeadECGWaveformStorage, "other_object"),
        ("1.2.3.4", "other_object"),
    ],
)
def test_what_is_no_picture_cannot_be_named_safe(sop_class: str, code: str, tmp_path: Path) -> None:
    assert _stopped(tmp_path, tuple(stops.SAFE_KINDS), SOPClassUID=sop_class) == code


@pytest.mark.parametrize("elements", [{"ConversionType": "SD"}, {"Modality": "DOC"}])
def test_scanned_documents_are_documents(elements: dict[str, Any], tmp_path: Path) -> None:
    capture = {"SOPClassUID": uid.SecondaryCaptureImageStorage, **elements}
    assert _stopped(tmp_path, tuple(stops.SAFE_KINDS), **capture) == "document"


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"BurnedInAnnotation": "NO"},
        {"SOPClassUID": uid.UltrasoundImageStorage, "Modality": "US", "BurnedInAnnotation": "NO"},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["DERIVED", "SECONDARY", "RESAMPLED"]},
        {**SLIDE, "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]},
    ],
)
def test_plain_pictures_go_on(elements: dict[str, Any], tmp_path: Path) -> None:
    assert _stopped(tmp_path, **elements) == ""


def test_a_claim_that_identity_was_removed_proves_nothing(tmp_path: Path) -> None:
    for elements, kind in STOPPED:
        claimed = {**elements, "PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}
        assert _stopped(tmp_path, **claimed) == kind


def test_nothing_is_read_beyond_the_allow_list(tmp_path: Path) -> None:
    planted = made(
        ROW,
        PatientBirthDate="19500101",
        ReferringPhysicianName="Planted^Doctor",
        InstitutionName="Planted",
        ImageComments="Planted",
        OtherPatientIDsSequence=[item(PatientID="PLANTED-OTHER")],
    )
    found, header = find(written(planted, tmp_path / "made.dcm"))
    assert "Planted" not in f"{header.dataset}{found}{header}"
    assert "PLANTED-OTHER" not in f"{header.dataset}{vars(found)}"
    assert "PLANTED-ID" not in f"{found}{header}"


def _code(file: Path) -> str:
    """Why a file is left out; empty if it would be taken."""
    try:
        found, header = find(file)
        reason = stops.stop(found, ())
        if reason is None:
            described(header)
    except PictureRefused as refused:
        reason = refused.reason
    return "" if reason is None else reason.code


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "no lengths"])
@pytest.mark.parametrize(
    "syntax",
    [
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    ],
)
def test_a_file_that_is_cut_off_before_its_pixels_says_so(syntax: uid.UID, undefined: bool, tmp_path: Path) -> None:
    cut = made(ROW, WindowCenter="3")
    for name in ("ReferencedStudySequence", "VOILUTSequence"):
        setattr(cut, name, Sequence([item(LUTExplanation="x")]))
        cut[name].is_undefined_length = undefined
    whole = written(cut, tmp_path / "made.dcm", syntax).read_bytes()
    assert _code(tmp_path / "made.dcm") == ""
    pixels = find(tmp_path / "made.dcm")[1].place
    end = len(whole) - 8 if syntax.is_deflated or pixels is None else pixels.start
    codes = Counter[str]()
    for length in range(132, end, 5):
        (tmp_path / "cut.dcm").write_bytes(whole[:length])
        codes[_code(tmp_path / "cut.dcm")] += 1
    assert codes[""] == 0 and codes["dicom_cut_off"] > 0.9 * codes.total()
    assert codes["other_object"] <= 2, "where it ends just before the element that says what it is"


def test_a_report_that_is_cut_off_and_a_picture_without_pixels_stay_what_they_are(tmp_path: Path) -> None:
    report = made(ROW, SOPClassUID=uid.EnhancedSRStorage, SeriesDescription="a report of several words")
    del report.PixelData
    file = written(report, tmp_path / "report.dcm")
    file.write_bytes(file.read_bytes()[:-1])
    assert _code(file) == "report"
    empty = made(ROW)
    del empty.PixelData
    assert _code(written(empty, tmp_path / "empty.dcm")) == "dicom_without_pixels"


def test_a_file_that_is_cut_off_counts_as_lost(tmp_path: Path) -> None:
    written(made(ROW), tmp_path / "1.dcm")
    file = written(made(ROW), tmp_path / "2.dcm")
    file.write_bytes(file.read_bytes()[:330])
    (left_out,) = dicom_frames(tmp_path).left_out
    assert (left_out.place, left_out.reason.code, left_out.lost) == ("2.dcm", "dicom_cut_off", True)
    assert "cut" in left_out.reason.means and "Export it again" in left_out.reason.advice
