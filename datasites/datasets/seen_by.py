"""Studies by the versions of a dataset that they read: whose models had seen a patient. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from datasites.assets.dataset_version import DatasetVersion, as_set
from policies.ledger.reservations import NOTHING_LEFT, Reservation


@dataclass(frozen=True)
class StudyThatSaw:
    """A request whose rounds read a version.

    Attributes:
        request_id: The request.
        researcher: Whose it is.
        study: The study's name.
        version: Which version of the dataset it reads.
        rounds_read: How many of its rounds read pictures.
        rounds_released: How many of these gave a model or counts that have left.
        under_way: Whether further rounds may run.
        certain: Whether the version says who was in it; of one that does not, a patient may or may not have been seen.
    """

    request_id: str
    researcher: str
    study: str
    version: int
    rounds_read: int
    rounds_released: int
    under_way: bool
    certain: bool = True


def studies_that_saw(
    held: Iterable[Reservation], versions: Iterable[DatasetVersion], marks: frozenset[bytes]
) -> tuple[StudyThatSaw, ...]:
    """The requests that read, or may still read, a version with one of these patients in it.

    Args:
        held: All reservations of the ledger.
        versions: The versions of one dataset, those that were pruned included.
        marks: The patients' pseudonyms.
    """
    certain = {
        (version.manifest.name, version.number): version.marks("patients") is not None
        for version in versions
        if may_hold(version, marks)
    }
    return tuple(
        StudyThatSaw(
            request_id=one.request_id,
            researcher=one.researcher,
            study=one.study,
            version=one.dataset_version,
            rounds_read=len(one.rounds_charged),
            rounds_released=sum(done.update_digest != NOTHING_LEFT for done in one.rounds_charged.values()),
            under_way=one.released is None,
            certain=certain[one.dataset, one.dataset_version],
        )
        for one in held
        if (one.dataset, one.dataset_version) in certain and (one.rounds_charged or one.released is None)
    )


def versions_under_way(held: Iterable[Reservation], dataset: str) -> frozenset[int]:
    """The versions of a dataset that an approved request which has not ended reads."""
    return frozenset(one.dataset_version for one in held if one.dataset == dataset and one.released is None)


def may_hold(version: DatasetVersion, marks: frozenset[bytes]) -> bool:
    """Whether one of these patients is in a version, or nobody can tell since it does not say who is."""
    return version.marks("patients") is None or not marks.isdisjoint(patients_in(version))


def patients_in(version: DatasetVersion) -> frozenset[bytes]:
    """Pseudonyms of a version's patients; empty where it does not say who they are."""
    marks = version.marks("patients")
    return frozenset() if marks is None else as_set(marks)
