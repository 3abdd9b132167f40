"""Findings among pictures that are all read: copies, empty ones, patients in two places. They are private."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datasites.ingestion import reasons
from datasites.ingestion.ingest_report import NOTED, STOPS, ReportLine
from datasites.picture_files.picture_refused import Reason
from datasites.sources.listing import ListedPicture, Listing


def copies(
    pictures: Sequence[ListedPicture],
    taken: NDArray[np.int64],
    digests: NDArray[np.uint8],
    accepted: Collection[str],
    known: Mapping[bytes, tuple[int, ...]],
) -> Iterator[ReportLine]:
    """Pictures whose pixels another one has as well: the same label is told, another one stops the ingest.

    Args:
        pictures: All of the listing.
        taken: int64, (M,), which of them are taken.
        digests: uint8, (N, 32), of each one's pixels.
        accepted: Codes of what the hospital takes all the same.
        known: The labels of pictures that the dataset has already, by the digest of their pixels.
    """
    first = {digest: ("a picture that the dataset has", labels) for digest, labels in known.items()}
    for index in taken.tolist():
        own = _place(pictures[index]), pictures[index].labels
        other = first.setdefault(digests[index].tobytes(), own)
        if other is own:
            continue
        same_label = own[1] == other[1]
        reason = reasons.SAME_PICTURE if same_label else reasons.TWO_CLASSES
        outcome = NOTED if same_label or reason.code in accepted else STOPS
        yield ReportLine(_place(pictures[index]), outcome, reason, f"as {other[0]}")


def in_hold_out(
    pictures: Sequence[ListedPicture],
    taken: NDArray[np.int64],
    digests: NDArray[np.uint8],
    hold_out: Collection[bytes],
    accepted: Collection[str],
) -> Iterator[ReportLine]:
    """Pictures whose pixels the hold-out has as well.

    Args:
        pictures: Of the listing.
        taken: int64, (N,), which of them there are.
        digests: uint8, (M, 32), of the pixels of each picture of the listing.
        hold_out: Digests of the hold-out's pictures.
        accepted: Codes of what the hospital takes all the same.
    """
    outcome = NOTED if reasons.IN_HOLD_OUT.code in accepted else STOPS
    for index in taken.tolist():
        if digests[index].tobytes() in hold_out:
            yield ReportLine(_place(pictures[index]), outcome, reasons.IN_HOLD_OUT)


def noted(pictures: Sequence[ListedPicture], taken: NDArray[np.int64], reason: Reason) -> Iterator[ReportLine]:
    """One line for each of the pictures `taken`, int64, (N,)."""
    return (ReportLine(_place(pictures[index]), NOTED, reason) for index in taken.tolist())


def patients_in_two_classes(listing: Listing) -> Iterator[ReportLine]:
    """The first picture of each patient that has another label than the patient's first."""
    if listing.label_kind != "single":
        return
    labels_of: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for listed in listing.pictures:
        if listed.patient is not None:
            known = labels_of[listed.patient]
            if known and listed.labels not in known:
                yield ReportLine(_place(listed), NOTED, reasons.PATIENT_IN_TWO_CLASSES)
            known.add(listed.labels)


def patients_in_two_sites(listing: Listing) -> Iterator[ReportLine]:
    """Every picture of a patient whom the source names at another hospital, too."""
    for listed in listing.pictures:
        if listed.patient in listing.patients_elsewhere:
            yield ReportLine(_place(listed), NOTED, reasons.PATIENT_IN_TWO_SITES)


def _place(listed: ListedPicture) -> str:
    return listed.picture.place
