"""What may show who a patient is waits for a person; what is no picture is left out; each says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import uid
from support.dicom_files import item, made, written

from datasites.sources.dicom import stops
from datasites.sources.dicom.found_file import find

ROW = [[0, 1]]


def _stopped(folder: Path, safe: tuple[str, ...] = (), **elements: Any) -> str:
    found, _ = find(written(made(ROW, **elements), folder / "made.dcm"))
    reason = stops.stop(found, safe)
    return "" if reason is None else reason.code


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
