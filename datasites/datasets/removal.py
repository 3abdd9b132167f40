"""Takes patients who withdrew out of a dataset: a version without them, and who had seen them. None of it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasites.assets.dataset_version import (
    DatasetVersion,
    all_versions,
    as_set,
    newest_version,
    version_folder,
    versions_of,
)
from datasites.assets.features import FEATURES_WANTED, left_behind
from datasites.assets.store import PictureStore, read_store
from datasites.assets.withdrawn import Withdrawn, shown_of
from datasites.audit_log.log import AuditLog
from datasites.datasets.next_version import COMING, make_version, rows_of
from datasites.datasets.seen_by import StudyThatSaw, may_hold, patients_in, studies_that_saw
from datasites.datasets.withdrawn import WITHDRAWN, who_withdrew, without
from datasites.files.private_folder import only_writer
from datasites.files.state_folder import StateFolder
from datasites.ingestion.pseudonyms import of_patient
from datasites.state.kept_books import open_audit, open_ledger
from datasites.state.pseudonym_secret import pseudonym_secret
from policies.errors import DataError


@dataclass(frozen=True)
class Removal:
    """What taking patients out did.

    Attributes:
        patients: How many they are.
        pictures: How many of their pictures the version before held.
        version: The new version's number; None where the newest held none of theirs already.
        still_in: The versions with pictures of theirs that are on this disk until they are pruned.
        features: Those that the version before kept and the new one does not have yet.
        ingest_under_way: Whether an ingest that may have read pictures of theirs is going on; it comes to nothing.
        seen_by: The studies that read, or may still read, a version with their pictures.
    """

    patients: int
    pictures: int
    version: int | None
    still_in: tuple[int, ...]
    features: tuple[str, ...]
    ingest_under_way: bool
    seen_by: tuple[StudyThatSaw, ...]

    @property
    def features_wanted(self) -> str:
        """What to do about those features, in a sentence for the hospital's terminal; empty where there are none."""
        return FEATURES_WANTED.format(features=", ".join(self.features), version=self.version) if self.features else ""


def remove_patients(state: StateFolder, name: str, identifiers: Sequence[str], *, least: int) -> Removal:
    """Makes a version of a dataset without some patients, and keeps them out of every later ingest.

    Studies under way keep their version: whoever runs the datasite ends those that are to stop.

    Guarantees:
        Once the datasite was started again, no new request gets pictures of these patients, of this dataset or of
        another one; and no later ingest takes them, under their identifier or by the same file. Interrupted at any
        point, the versions before are whole, and the same call again, or the next start, completes it.
        What an ingest had read and not made a version of is removed, unless one is under way.
        Neither an identifier nor anything it could be guessed from without the datasite's secret is kept.

    Args:
        state: The datasite's folder; it may be running, and takes the version at its next start.
        name: The dataset.
        identifiers: The patients, as the source names them.
        least: The fewest units that are published at all.

    Raises:
        DataError: The dataset does not say who its patients are, one is in no version of it, or too few units are left;
            nothing is changed.
    """
    secret = pseudonym_secret(state)
    marks = [of_patient(secret, one) for one in identifiers]
    with only_writer(state.store):
        newest = newest_version(state.store, name)
        versions = versions_of(state.store, name)
        _check_known(marks, versions)
        store = read_store(newest.folder)
        store.check_rows()
        audit = open_audit(state)
        chosen = frozenset(marks)
        leaving = _rows_of(store, chosen)
        if leaving.any():
            _check_enough(store, leaving, least)
        _withdraw(state, store, chosen, leaving, audit)
        version, features = None, tuple[str, ...]()
        if leaving.any():
            made = make_version(state, name, [rows_of(store)], audit, public_size=0, least=least)
            version = made.dataset_version
            features = left_behind(newest.folder, version_folder(state.store, name, version))
        for page in (state.dataset_page, state.ingest_report):  # which may show their pictures, or name their files
            page.unlink(missing_ok=True)
    seen = studies_that_saw(open_ledger(state).reservations().values(), versions, chosen)
    under_way = not _drop_unfinished(state)
    still_in = tuple(one.number for one in versions if one.whole and may_hold(one, chosen))
    return Removal(len(chosen), int(leaving.sum()), version, still_in, features, under_way, seen)


def finish_withdrawals(state: StateFolder, name: str, *, least: int) -> int | None:
    """Makes the version that withdrawals have left to make: one was interrupted, or named another dataset's patients.

    Guarantees:
        The newest version of the dataset holds nobody on the list of who withdrew, and nobody of whom the audit log
        says so, as after a restore of an older backup with a newer log; or this raises.

    Args:
        state: The datasite's folder.
        name: The dataset.
        least: The fewest units that are published at all.

    Returns:
        The version that was made; None where nothing was left to do.

    Raises:
        DataError: Too few units are left, or an ingest is under way.
        StoreBroken: The store, or the list, cannot be read.
    """
    gone = who_withdrew(state)
    if gone.shown:
        _recall(state, gone)
    part = rows_of(read_store(newest_version(state.store, name).folder))
    if len(without(gone, part).rows) == len(part.rows):
        return None
    with only_writer(state.store):
        made = make_version(state, name, [part], open_audit(state), public_size=0, least=least)
    return made.dataset_version


def _withdraw(
    state: StateFolder, store: PictureStore, marks: frozenset[bytes], leaving: np.ndarray, audit: AuditLog
) -> None:
    """Notes who withdrew before anything else is done, so that nothing of it can be forgotten."""
    sources = frozenset() if store.sources is None else as_set(store.sources[leaving])
    told = ", ".join(sorted(shown_of(mark) for mark in marks))
    audit.write(WITHDRAWN, dataset=store.manifest.name, patients=told, count=len(marks))
    (Withdrawn.read(state.withdrawn) | Withdrawn(marks, sources)).write(state.withdrawn)


def _drop_unfinished(state: StateFolder) -> bool:
    """Removes what an ingest had read that came to no version; not while one is under way, whose end is refused."""
    if not (state.store / COMING).exists():
        return True
    try:
        with only_writer(state.path):
            shutil.rmtree(state.store / COMING)
    except DataError:
        return False
    return True


def _recall(state: StateFolder, gone: Withdrawn) -> None:
    """Puts those whom the audit log alone names back on the list, with what their pictures were read from."""
    recalled = Withdrawn()
    for version in all_versions(state.store):
        marks = frozenset(mark for mark in patients_in(version) if shown_of(mark) in gone.shown)
        sources: frozenset[bytes] = frozenset()
        if marks and version.whole and (store := read_store(version.folder)).sources is not None:
            sources = as_set(store.sources[_rows_of(store, marks)])
        recalled |= Withdrawn(marks, sources)
    if recalled.patients:
        (Withdrawn.read(state.withdrawn) | recalled).write(state.withdrawn)


def _check_known(marks: Sequence[bytes], versions: Sequence[DatasetVersion]) -> None:
    if not marks:
        raise DataError("Say which patient is to be taken out; none was named.")
    if versions[-1].marks("patients") is None:
        raise DataError(
            "This dataset does not say whose pictures it has: its source named no patients when it was ingested. Let "
            "the source name them, and ingest again."
        )
    known = frozenset[bytes]().union(
        *(as_set(own) for version in versions if (own := version.marks("patients")) is not None)
    )
    if unknown := [index for index, mark in enumerate(marks, start=1) if mark not in known]:
        raise DataError(
            "A patient is in no version of this dataset; nothing was changed. Write identifiers as the source does.",
            private=f"named {', '.join(map(str, unknown))} of {len(marks)}, counted from 1",
        )


def _rows_of(store: PictureStore, marks: frozenset[bytes]) -> np.ndarray:
    """Which rows are these patients', bool, (N,)."""
    if store.patients is None:
        return np.zeros(store.manifest.num_pictures, dtype=np.bool_)
    units = np.array([row.tobytes() in marks for row in store.patients], dtype=np.bool_)
    return np.asarray(units[store.units])


def _check_enough(store: PictureStore, leaving: np.ndarray, least: int) -> None:
    left = len(np.unique(store.units[~leaving]))
    if left < least:
        raise DataError(
            f"A dataset must hold at least {least} privacy units to be published, without these patients it would hold "
            "fewer; nothing was changed. Lower min_public_size, or stop serving the dataset and end its studies."
        )
