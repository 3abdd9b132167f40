"""A later ingest: what is new becomes the next version of a dataset, beside the one before. None of it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasites.assets.dataset_version import all_versions, newest_version, version_folder, versions_of
from datasites.assets.features import FEATURES_WANTED, left_behind
from datasites.assets.store import PictureStore, StoreManifest, read_store
from datasites.assets.withdrawn import Withdrawn
from datasites.datasets.merging import Part, labels_by_pixels
from datasites.datasets.next_version import COMING, known_budgets, make_version, rows_of
from datasites.datasets.withdrawn import who_withdrew
from datasites.files.private_folder import only_writer
from datasites.files.state_folder import StateFolder
from datasites.ingestion.findings import hold_out_pixels
from datasites.ingestion.ingest import Asked, Reader, ingest
from datasites.ingestion.ingested_before import Difference, asked_otherwise, difference
from datasites.ingestion.listing_checks import check_patients, form_of
from datasites.ingestion.pseudonyms import of_patient, of_source, of_spellings
from datasites.ingestion.reasons import IN_HOLD_OUT, PATIENTS_ALIKE
from datasites.sources.dicom.patients import BEFORE_ISSUER
from datasites.sources.listing import ListedPicture, Listing
from datasites.state.kept_books import open_audit
from policies.errors import DataError


@dataclass(frozen=True)
class Ingest:
    """A later ingest.

    Attributes:
        state: The datasite's folder.
        asked: What is asked of it.
        reader: Makes what reads the pictures, given the file for decoders' words.
    """

    state: StateFolder
    asked: Asked
    reader: Callable[[Path], Reader]

    def take(self, listing: Listing) -> StoreManifest:
        """Makes the dataset's first version of the pictures, or its next one of what is new; returns the manifest.

        What the listing says of a picture that the newest version has counts from now on; pictures that it does not
        name stay. Pictures of patients who withdrew are left out.

        Guarantees:
            The versions before stay as they are, whatever becomes of this, and the new one has their budget: see
            `make_version`. One ingest of a datasite at a time decides which dataset shares which budget.

        Raises:
            DataError: As `ingest` and `make_version`, the settings ask for another dataset than the one there, or
                another ingest is under way.
        """
        with only_writer(self.state.path):
            return self._taken(listing)

    def _taken(self, listing: Listing) -> StoreManifest:
        listing = self._without_withdrawn(listing)
        check_patients(listing, self.asked.settings, self.asked.accepted)
        name = self.asked.settings.name
        if not all_versions(self.state.store) and not known_budgets(self.state, name):
            return ingest(self._without_files(listing), self.state.store / name, self.asked, self.reader)
        if not versions_of(self.state.store, name):
            return self._next(self._without_files(listing), ())
        store = read_store(newest_version(self.state.store, name).folder)
        self._check_settings(listing, store)
        if store.sources is None:  # from before sources had any: nobody can tell what is new
            self.asked.tell(
                f"Nobody can tell which pictures of '{name}' are new: the next version is what is there now."
            )
            return self._next(listing, ())
        self._refuse_hold_out(listing, store)
        found = self._difference(listing, store)
        if found.gone:
            self.asked.tell(f"{len(found.gone)} pictures of '{name}' are not in the source any more. They stay in it.")
        chosen = sorted((*found.new, *found.said_otherwise))
        coming = replace(listing, pictures=[listing.pictures[index] for index in chosen], left_out=())
        coming = self._without_files(coming)
        if not coming.pictures:
            self.asked.tell(f"Dataset '{name}' holds these pictures already; nothing is new.")
            return store.manifest
        self.asked.tell(f"New in '{name}': {len(found.new):,} pictures.")
        if found.said_otherwise:
            self.asked.tell(
                f"Of {len(found.said_otherwise):,} that it has, the source names another label, patient or report now, "
                "which counts from this version on."
            )
        said = {_source(self.asked.secret, listing.pictures[index]) for index in found.said_otherwise}
        stays = np.array([row.tobytes() not in said for row in store.sources], dtype=np.bool_)
        rows = np.flatnonzero(stays).astype(np.int64)
        beside = replace(self, asked=replace(self.asked, known=labels_by_pixels(Part(store, rows))))
        return beside._next(coming, (Part(store, rows),))

    def _next(self, listing: Listing, before: tuple[Part, ...]) -> StoreManifest:
        """The next version: rows of the one before, and the listing's pictures."""
        name, state = self.asked.settings.name, self.state
        coming = state.store / COMING / name
        if coming.exists():  # whole, and of an ingest that has not become a version
            shutil.rmtree(coming)
        ingest(listing, coming, replace(self.asked, min_public_size=1), self.reader)
        store = read_store(coming)
        with only_writer(state.store):
            if before and newest_version(state.store, name).manifest != before[0].store.manifest:
                raise DataError(f"Another version of '{name}' was made meanwhile. Ingest again.")
            made = make_version(
                state,
                name,
                (*before, rows_of(store)),
                open_audit(state),
                public_size=self.asked.settings.public_size,
                least=self.asked.min_public_size,
            )
        shutil.rmtree(state.store / COMING)
        self.asked.tell(
            f"Version {made.dataset_version} of '{name}': new requests get it when the datasite starts again."
        )
        if before:
            self._tell_of_features(made)
        return made

    def _tell_of_features(self, made: StoreManifest) -> None:
        number = made.dataset_version
        older, newer = (version_folder(self.state.store, made.name, one) for one in (number - 1, number))
        if features := left_behind(older, newer):
            self.asked.tell(FEATURES_WANTED.format(features=", ".join(features), version=number))

    def _difference(self, listing: Listing, store: PictureStore) -> Difference:
        log = self.state.store / f"{COMING}.log"
        try:
            form = form_of(listing, self.asked.settings)
            return difference(store, listing, form, self.asked.secret, self.reader(log))
        finally:
            log.unlink(missing_ok=True)

    def _refuse_hold_out(self, listing: Listing, store: PictureStore) -> None:
        """Refuses a hold-out with pictures that the dataset has already: those that come are looked at on their way in.

        Raises:
            DataError: There are some, and the hospital does not take them.
        """
        if self.asked.hold_out is None or IN_HOLD_OUT.code in self.asked.accepted:
            return
        known = labels_by_pixels(Part(store, np.arange(store.manifest.num_pictures, dtype=np.int64)))
        form, asked = form_of(listing, self.asked.settings), self.asked
        log = self.state.store / f"{COMING}.log"
        try:
            held = hold_out_pixels(
                self.asked.hold_out, form, self.reader(log), asked.settings.most_left_out, asked.tell
            )
        finally:
            log.unlink(missing_ok=True)
        both = sorted(place for digest, place in held.items() if digest in known)
        if both:
            raise DataError(
                f"The dataset '{self.asked.settings.name}' has pictures of the hold-out already: {IN_HOLD_OUT.code}. "
                "Take them out of the hold-out: a model is not to be measured on what it was trained on.",
                private="\n".join(["In the hold-out:", *both]),
            )

    def _check_settings(self, listing: Listing, store: PictureStore) -> None:
        form = form_of(listing, self.asked.settings)
        declared = replace(self.asked.settings, public_size=0)  # a version may declare another size
        if otherwise := asked_otherwise(store.manifest, declared, form=form, listing=listing):
            raise DataError(
                f"All versions of the dataset '{store.manifest.name}' have the settings of its first. These differ: "
                f"{'; '.join(otherwise)}. Put them back, or set another name in [dataset]: what shares pictures or "
                "patients with this dataset shares its budget."
            )

    def _without_withdrawn(self, listing: Listing) -> Listing:
        """The listing without pictures under the identifier of a patient who withdrew, as programs may write it too.

        Where the hospital has said that identifiers that are alike are different patients', spelling counts.
        """
        gone, secret = who_withdrew(self.state), self.asked.secret
        exactly = PATIENTS_ALIKE in self.asked.accepted
        return self._without(listing, lambda one: any(map(gone.has, _patients(secret, one, exactly=exactly))))

    def _without_files(self, listing: Listing) -> Listing:
        """The listing without files that a patient who withdrew had, whoever they are said to be of now."""
        gone = Withdrawn.read(self.state.withdrawn).sources
        return self._without(listing, lambda one: _source(self.asked.secret, one) in gone) if gone else listing

    def _without(self, listing: Listing, is_gone: Callable[[ListedPicture], bool]) -> Listing:
        kept = [one for one in listing.pictures if not is_gone(one)]
        if len(kept) < len(listing.pictures):
            self.asked.tell(f"{len(listing.pictures) - len(kept)} pictures are left out: their patients withdrew.")
        return replace(listing, pictures=kept)


def _patients(secret: bytes, listed: ListedPicture, *, exactly: bool) -> set[bytes]:
    """Pseudonyms of a picture's patient: by the whole name, and by a PatientID that only later has two issuers."""
    named = listed.patient or ""
    names = {named, named.partition(BEFORE_ISSUER)[0]} - {""}
    if exactly:
        return {of_patient(secret, one) for one in names}
    return {one for name in names for one in of_spellings(secret, name)}


def _source(secret: bytes, listed: ListedPicture) -> bytes:
    """The pseudonym of a picture's file; empty where it cannot be read: then it is not taken either."""
    try:
        return of_source(secret, listed.picture.digest())
    except (OSError, DataError):
        return b""
