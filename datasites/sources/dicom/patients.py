"""The patient of a DICOM picture: a PatientID, and who gave it where several have. The store keeps neither."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datasites.picture_files.picture_refused import Reason
from datasites.sources.not_filled_in import is_nobody

BEFORE_ISSUER = "\\"  # which neither may hold
NO_PATIENT = Reason(
    "no_patient",
    "The file names no patient by a PatientID, so it cannot be counted to one.",
    "Export it again with its PatientID, or give a table with a column of patients.",
)
UNCLEAR_PATIENT = Reason(
    "unclear_patient",
    "Several hospitals have given this PatientID, and the file does not say which of them is meant.",
    "Export it again with its IssuerOfPatientID, or give a table with a column of patients.",
)


def patients(named: Sequence[tuple[str, str]]) -> list[str | Reason]:
    """One name for each patient, or why there is none.

    Guarantees:
        Two files of one (PatientID, IssuerOfPatientID) are one patient's. A file without an issuer is the patient's
        whose PatientID it has; where several issuers gave that one, it is nobody's rather than a patient of its own.
        A PatientID that one issuer or none has given is the patient's name by itself, whichever files say who gave it:
        the same in every listing, in a table, and where the patient withdraws.

    Args:
        named: (PatientID, IssuerOfPatientID) of each file, empty where absent.
    """
    issuers = _issuers(named)
    return [_patient(number, issuer, issuers.get(number, set())) for number, issuer in named]


def _issuers(named: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, issuer in named:
        if issuer:
            found.setdefault(number, set()).add(issuer)
    return found


def _patient(number: str, issuer: str, issuers: set[str]) -> str | Reason:
    if not number or is_nobody(number):
        return NO_PATIENT
    if not issuer and len(issuers) > 1:
        return UNCLEAR_PATIENT
    return f"{number}{BEFORE_ISSUER}{issuer}" if len(issuers) > 1 else number
