"""DICOM files that wait for a person, because they may show who the patient is, and objects that are no pictures.

No flag of a file is taken as proof that nothing identifies anybody: PatientIdentityRemoved is not even read.
"""

from __future__ import annotations

from collections.abc import Collection

from pydicom import uid

from datasites.picture_files.dicom.reasons import CUT_OFF, NOT_DICOM
from datasites.picture_files.picture_refused import Reason
from datasites.sources.dicom.found_file import FoundFile

_LOOK = "Look at them; if none shows who a patient is, name {} in safe_dicom."
_LOOK_AT_GRAPHICS = _LOOK.format("'graphics'")
BURNED_IN = Reason(
    "burned_in",
    "The file says that text is burned into its pixels, or that a specimen's label is seen.",
    _LOOK.format("'burned_in'"),
)
BURNED_IN_UNKNOWN = Reason(
    "burned_in_unknown",
    "The file does not say that no text is burned into its pixels, and pictures of its kind often hold a name.",
    _LOOK.format("'burned_in_unknown'"),
)
RECOGNISABLE = Reason(
    "recognisable",
    "The file says that a person can be recognised in it.",
    _LOOK.format("'recognisable'"),
)
SECONDARY_CAPTURE = Reason(
    "secondary_capture",
    "The file is a capture of a screen, a film or a report, on which names stand.",
    _LOOK.format("'secondary_capture'"),
)
GRAPHICS = Reason(
    "graphics",
    "Overlays or curves lie beside the file's pixels, which may be text.",
    f"{_LOOK_AT_GRAPHICS} They are never drawn into a picture and never stored.",
)
SLIDE_LABEL = Reason(
    "slide_label",
    "The file shows a slide's label or the whole slide with it.",
    _LOOK.format("'slide_label'"),
)
LOCALISER = Reason(
    "localiser",
    "The file is a localiser or scout, by which other pictures were planned.",
    "Name 'localiser' in safe_dicom where they are wanted.",
)
SMALLER_COPY = Reason(
    "smaller_copy",
    "The file shows a whole slide smaller than another file does, or is its thumbnail.",
    "Name 'smaller_copy' in safe_dicom where they are wanted.",
)
SAFE_KINDS = {
    reason.code: reason
    for reason in (
        *(BURNED_IN, BURNED_IN_UNKNOWN, RECOGNISABLE, SECONDARY_CAPTURE),
        *(GRAPHICS, SLIDE_LABEL, LOCALISER, SMALLER_COPY),
    )
}
"""Kinds that a hospital may name as safe once somebody has looked at them."""

DOCUMENT = Reason("document", "The file is a scanned or embedded document.", "Nothing need be done: it is left out.")
REPORT = Reason("report", "The file is a structured report or a selection.", "Nothing need be done: it is left out.")
PRESENTATION = Reason(
    "presentation", "The file says how others are shown, and may hold text.", "Nothing need be done: it is left out."
)
OTHER_OBJECT = Reason(
    "other_object",
    "The file is no picture of a patient: a plan, a dose, a segmentation, a curve, raw data or a kind not known here.",
    "Nothing need be done: it is left out.",
)

NO_PICTURES = (DOCUMENT, REPORT, PRESENTATION, OTHER_OBJECT)
NO_LOSS = (NOT_DICOM, *NO_PICTURES, SECONDARY_CAPTURE, SLIDE_LABEL, LOCALISER, SMALLER_COPY)
"""What is left out and was hardly meant to be in."""

_CLASSES = "1.2.840.10008.5.1.4.1.1."
_KINDS_OF_CLASSES = (("88.", REPORT), ("11.", PRESENTATION), ("104.", DOCUMENT))
_CAPTURES = {
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
}
_PICTURES = {
    f"{_CLASSES}3",  # ultrasound of several frames, nuclear medicine and ultrasound as they were until 1993
    f"{_CLASSES}5",
    f"{_CLASSES}6",
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
    uid.BreastTomosynthesisImageStorage,
    uid.CTImageStorage,
    uid.ComputedRadiographyImageStorage,
    uid.DermoscopicPhotographyImageStorage,
    uid.DigitalIntraOralXRayImageStorageForPresentation,
    uid.DigitalIntraOralXRayImageStorageForProcessing,
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
    uid.EnhancedCTImageStorage,
    uid.EnhancedMRColorImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedPETImageStorage,
    uid.EnhancedXAImageStorage,
    uid.EnhancedXRFImageStorage,
    uid.IntravascularOpticalCoherenceTomographyImageStorageForPresentation,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.LegacyConvertedEnhancedPETImageStorage,
    uid.MRImageStorage,
    uid.NuclearMedicineImageStorage,
    uid.OphthalmicPhotography16BitImageStorage,
    uid.OphthalmicPhotography8BitImageStorage,
    uid.OphthalmicTomographyImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    uid.VLEndoscopicImageStorage,
    uid.VLMicroscopicImageStorage,
    uid.VLPhotographicImageStorage,
    uid.VLSlideCoordinatesMicroscopicImageStorage,
    uid.VLWholeSlideMicroscopyImageStorage,
    uid.VideoEndoscopicImageStorage,
    uid.VideoMicroscopicImageStorage,
    uid.VideoPhotographicImageStorage,
    uid.WideFieldOphthalmicPhotographyStereographicProjectionImageStorage,
    uid.XRay3DAngiographicImageStorage,
    uid.XRay3DCraniofacialImageStorage,
    uid.XRayAngiographicImageStorage,
    uid.XRayRadiofluoroscopicImageStorage,
}
_OFTEN_WITH_TEXT = {"US", "IVUS", "BDUS", "XC", "ES", "OP", "GM", "OT", "SC", "DOC"}
_SCANNED = {"SD", "DF"}  # a scanned document, a digitised film
_SCREENS = {"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "DOSE_INFO", "DOSE REPORT", "REPORT", "CSA REPORT"}
_LOCALISERS = {"LOCALIZER", "SCOUT"}
_SLIDE_LABELS = {"LABEL", "OVERVIEW"}
_SMALLER = {"RESAMPLED", "THUMBNAIL"}  # of whole slides: a pyramid's other levels


def no_picture(found: FoundFile) -> Reason | None:
    """Why a file is no picture of a patient, whatever the hospital names as safe; None if it may be one."""
    for prefix, reason in _KINDS_OF_CLASSES:
        if found.sop_class.startswith(_CLASSES + prefix):
            return reason
    if found.modality == "DOC" or found.conversion == "SD":
        return DOCUMENT
    is_picture = found.sop_class in _PICTURES or found.sop_class in _CAPTURES
    if found.cut_off and (is_picture or found.sop_class not in uid.UID_dictionary):
        return CUT_OFF
    return None if is_picture else OTHER_OBJECT


def stop(found: FoundFile, safe: Collection[str]) -> Reason | None:
    """Why a file is left out before its pixels are looked at; None where it goes on.

    Guarantees:
        A file that says that it shows who somebody is, a kind of file that often does and does not deny it, a capture,
        and a file with graphics beside its pixels go on only where the hospital names that kind in `safe`.

    Args:
        found: What is known of the file.
        safe: Codes of `SAFE_KINDS` that a person has looked at.
    """
    found_kinds = (reason for reason in _kinds(found) if reason.code not in safe)
    return no_picture(found) or next(found_kinds, None)


def _kinds(found: FoundFile) -> list[Reason]:
    kinds = set(found.image_type)
    is_slide = found.sop_class == uid.VLWholeSlideMicroscopyImageStorage
    captured = found.sop_class in _CAPTURES or found.conversion in _SCANNED or bool(kinds & _SCREENS)
    said = (
        (found.burned_in == "YES" or found.specimen_label == "YES", BURNED_IN),
        (found.recognisable == "YES", RECOGNISABLE),
        (captured, SECONDARY_CAPTURE),
        (found.burned_in not in ("YES", "NO") and found.modality in _OFTEN_WITH_TEXT, BURNED_IN_UNKNOWN),
        (found.graphics, GRAPHICS),
        (bool(kinds & _SLIDE_LABELS), SLIDE_LABEL),
        (bool(kinds & _LOCALISERS), LOCALISER),
        (is_slide and bool(kinds & _SMALLER), SMALLER_COPY),
    )
    return [reason for applies, reason in said if applies]
