"""Findings among pictures that are all read: copies, empty ones, patients in two places. They are private."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.read_rows import taken
from datasites.ingestion import reasons
from datasites.ingestion.ingest_report import NOTED, STOPS, ReportLine
from datasites.ingestion.picture_reading import Reading, Target, Task
from datasites.picture_files.picture_refused import Reason
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import words

_NAMED = 5
_LOOKED_AT = 500


def copies(
    pictures: Sequence[ListedPicture],
    taken: NDArray[np.int64],
    digests: NDArray[np.uint8],
    accepted: Collection[str],
    known: Mapping[bytes, tuple[int, ...]],
    unit: str,
) -> Iterator[ReportLine]:
    """Pictures whose pixels another one has as well: the same label is told, another one stops the ingest.

    Args:
        pictures: All of the listing.
        taken: int64, (M,), which of them are taken.
        digests: uint8, (N, 32), of each one's pixels.
        accepted: Codes of what the hospital takes all the same.
        known: The labels of pictures that the dataset has already, by the digest of their pixels.
        unit: The privacy unit: what to do about a copy depends on whom it counts for.
    """
    first: dict[bytes, tuple[str, tuple[int, ...], str | None]] = {
        digest: ("a picture that the dataset has", labels, None) for digest, labels in known.items()
    }
    for index in taken.tolist():
        own = _place(pictures[index]), pictures[index].labels, pictures[index].patient
        other = first.setdefault(digests[index].tobytes(), own)
        if other is own:
            continue
        same_label = own[1] == other[1]
        reason = _of_one_label(own[2], other[2], unit) if same_label else reasons.TWO_CLASSES
        outcome = NOTED if same_label or reason.code in accepted else STOPS
        yield ReportLine(_place(pictures[index]), outcome, reason, f"as {other[0]}")


def _of_one_label(patient: str | None, other: str | None, unit: str) -> Reason:
    if unit == "picture":
        return reasons.SAME_PICTURE
    is_one = patient is not None and patient == other
    return reasons.SAME_PICTURE_OF_ONE_PATIENT if is_one else reasons.SAME_PICTURE_OF_TWO_PATIENTS


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


def hold_out_pixels(
    hold_out: Listing,
    form: PictureForm,
    reader: Callable[[Sequence[Task], Target], Iterator[Reading]],
    most_left_out: float,
    tell: Callable[[str], None],
) -> dict[bytes, str]:
    """The places of a hold-out's pictures, by the digest of their pixels.

    Args:
        hold_out: Its listing.
        form: The dataset's, by which they are read.
        reader: Reads them.
        most_left_out: The largest share of them that may be unreadable.
        tell: Told which are, in the hospital's terminal.

    Raises:
        DataError: More of them cannot be read.
    """
    pictures = [one.picture for one in hold_out.pictures]
    found: dict[bytes, str] = {}
    lost = [one for one in hold_out.left_out if one.lost]
    for reading in reader([Task(index, picture) for index, picture in enumerate(pictures)], Target(form)):
        place = pictures[reading.number].place
        if reading.found is not None:
            found[bytes.fromhex(reading.found.pixels)] = place
        elif reading.reason is not None:
            lost.append(LeftOut(place, reading.reason))
    if lost:
        total = len(pictures) + sum(one.lost for one in hold_out.left_out)
        told = f"{len(lost):,} of {total:,} pictures of the hold-out cannot be read and are not looked for:"
        named = [told, *(f"  {one.place}: {one.reason.means} {one.reason.advice}" for one in lost[:_NAMED])]
        if len(lost) > most_left_out * total:
            raise DataError(
                "More of the hold-out cannot be read than the share that may be left out (most_left_out), so its "
                "pictures cannot be told from the dataset's. Mend them, or take them out of the hold-out.",
                private="\n".join(named),
            )
        for line in named + (["  and others"] if len(lost) > _NAMED else []):
            tell(line)
    return found


def noted(pictures: Sequence[ListedPicture], taken: NDArray[np.int64], reason: Reason) -> Iterator[ReportLine]:
    """One line for each of the pictures `taken`, int64, (N,)."""
    return (ReportLine(_place(pictures[index]), NOTED, reason) for index in taken.tolist())


def all_dark(images: NDArray[Any], settings: DatasetSettings) -> Iterator[str]:
    """A line for the hospital's terminal where no picture reaches half of white, as with more bits than count.

    Args:
        images: uint8 or uint16, (N, H, W, C), as they will be stored; of many some are looked at.
        settings: The dataset's; where `bits` say what is white, nothing is told.
    """
    some = range(0, len(images), max(1, len(images) // _LOOKED_AT))
    half = (np.iinfo(images.dtype).max + 1) // 2
    if not settings.bits and all(taken(images, np.array([row])).max() < half for row in some):
        yield (
            f"None of {len(some):,} pictures that were looked at reaches half of white. If that is not how they are, "
            "their files store more bits a value than count, and grey levels are lost: set bits in [dataset], 14 for "
            "instance, under another name of the dataset."
        )


def cut_reports(listing: Listing, settings: DatasetSettings) -> Iterator[str]:
    """A line for the hospital's terminal where reports have more words than are kept."""
    most = settings.text_length
    texts = [one.report for one in listing.pictures if one.report] if most else []
    if longer := sum(next(islice(words(text), most, None), None) is not None for text in texts):
        yield (
            f"{longer:,} of {len(texts):,} reports have more than the {most:,} words that text_length keeps: the first "
            "are read, and often what a report concludes stands at its end."
        )


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
