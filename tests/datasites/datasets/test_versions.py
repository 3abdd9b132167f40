"""Versions of a dataset: what a later ingest adds, whose budget it has, and what an interruption leaves."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support import versioned
from support.array_store import ArrayPicture, in_this_process, listing_of, pixels_of
from support.versioned import SECRET, newest, numbers_in, people, pictures_of, reserve, take

from datasites.assets.dataset_version import all_versions, versions_of
from datasites.assets.features import draw_features
from datasites.assets.store import StoreManifest, open_store
from datasites.datasets import adding, merging
from datasites.datasets.adding import Ingest
from datasites.files.state_folder import StateFolder
from datasites.ingestion.ingest import Asked
from datasites.ingestion.pseudonyms import of_patient
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from datasites.state.pseudonym_secret import pseudonym_secret
from policies.errors import BudgetExceeded, ConfigError, DataError, StoreBroken
from policies.plans.features import ScatteringSpec


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """Twelve patients, two pictures each."""
    made = versioned.make_state(tmp_path / "north")
    take(made, pictures_of(people(*range(12))))
    return made


def test_a_later_ingest_adds_what_is_new_as_a_version_beside_the_one_before(state: StateFolder) -> None:
    first = newest(state)
    second = take(state, pictures_of(people(*range(10, 15))))  # two of them are there already
    assert (first.manifest.dataset_version, second.dataset_version) == (1, 2)
    assert second.fingerprint != first.manifest.fingerprint
    assert (second.num_pictures, second.num_units) == (30, 15)
    assert numbers_in(newest(state)) == set(range(15))
    before = open_store(state.store / "pictures")
    before.verify()
    assert before.manifest == first.manifest and numbers_in(before) == set(range(12))


def test_an_ingest_names_the_features_that_its_version_has_not_yet(state: StateFolder) -> None:
    spec, told = ScatteringSpec(24, 1), list[str]()
    draw_features(state.store / "pictures", spec)
    asked = Asked(DatasetSettings(unit="patient"), SECRET, state.ingest_report, min_public_size=10, tell=told.append)
    Ingest(state, asked, in_this_process).take(pictures_of(people(12)))
    assert f"features that version 2 has not: {spec.key}. Compute them" in told[-1]
    Ingest(state, asked, in_this_process).take(pictures_of(people(13)))
    assert "features" not in told[-1]


def test_the_same_pictures_again_make_no_version(state: StateFolder) -> None:
    manifest = take(state, pictures_of(people(*range(12))))
    assert manifest == newest(state).manifest and len(versions_of(state.store, "pictures")) == 1


def test_further_pictures_of_a_known_patient_join_that_patients_unit(state: StateFolder) -> None:
    made = take(state, pictures_of(people(3), each=4))  # two of the four are known
    store = newest(state)
    assert (made.num_pictures, made.num_units) == (26, 12)
    units: dict[int, set[int]] = {unit: set() for unit in range(12)}
    numbers = (store.images.reshape(26, -1)[:, 0].astype(int) + 256 * store.images.reshape(26, -1)[:, 1]) // 8
    for unit, number in zip(store.units.tolist(), numbers.tolist(), strict=True):
        units[unit].add(number)
    assert sorted(map(len, units.values())) == [1] * 12  # no unit mixes patients, no patient has two
    assert store.patients is not None
    for unit, (number,) in units.items():
        assert store.patients[unit].tobytes() == of_patient(versioned.SECRET, f"p{number}")


def test_what_the_source_says_otherwise_of_a_known_picture_counts_from_the_next_version_on(state: StateFolder) -> None:
    listing = pictures_of(people(*range(12)))
    turned = [replace(one, labels=(1 - one.labels[0],)) for one in listing.pictures[:2]]
    made = take(state, replace(listing, pictures=[*turned, *listing.pictures[2:]]))
    store = newest(state)
    assert (made.dataset_version, made.num_pictures) == (2, 24)
    numbers = store.images.reshape(24, -1)[:, 0]
    labels = dict(zip(numbers.tolist(), store.labels.tolist(), strict=True))
    assert (labels[0], labels[1]) == (1, 0) and all(labels[n] == n % 2 for n in labels if n > 1)


def test_every_version_has_the_first_ones_budget_key_and_a_full_budget_stays_full(state: StateFolder) -> None:
    first = newest(state).manifest
    reserve(state, "one", first, steps=10)  # all of it
    for numbers in ((12, 13), (14,), (15, 16)):
        made = take(state, pictures_of(people(*numbers)))
        assert made.budget_key == first.fingerprint
        with pytest.raises(BudgetExceeded):
            reserve(state, f"more-{numbers[0]}", made, steps=1)


@pytest.mark.parametrize("which", [1, 2])
def test_a_copy_of_any_version_under_another_name_has_the_same_budget(state: StateFolder, which: int) -> None:
    key = newest(state).manifest.budget_key
    take(state, pictures_of(people(12, 13)))
    copied = take(state, pictures_of(people(*range(12 if which == 1 else 14))), name="renamed")
    assert copied.budget_key == key
    assert copied.dataset_version == 1 and copied.name == "renamed"


def test_a_dataset_that_shares_a_patient_or_a_file_shares_the_budget_and_one_that_shares_nothing_has_its_own(
    state: StateFolder,
) -> None:
    key = newest(state).manifest.budget_key
    others = pictures_of(people(*range(100, 115)), salt=1)
    assert take(state, others, name="others").budget_key != key
    of_a_known_patient = pictures_of(people(11, *range(200, 212)), salt=2)  # other files, one patient
    assert take(state, of_a_known_patient, name="overlap").budget_key == key
    nobodys = pictures_of(people(*range(12)))
    renamed = [replace(one, patient=f"q{index}") for index, one in enumerate(nobodys.pictures)]  # the same files
    assert take(state, replace(nobodys, pictures=renamed), name="anonymous").budget_key == key


def test_pictures_of_two_datasets_with_budgets_of_their_own_are_not_brought_together(state: StateFolder) -> None:
    take(state, pictures_of(people(*range(100, 115)), salt=1), name="others")
    with pytest.raises(DataError, match="budget of its own"):
        take(state, pictures_of(people(*range(6), *range(100, 106)), salt=1), name="both")
    with pytest.raises(DataError, match="budget of its own"):
        take(state, pictures_of(people(100), salt=1))
    assert {version.folder.name for version in all_versions(state.store)} == {"pictures", "others"}


def test_a_picture_that_comes_again_in_another_file_shares_the_budget(state: StateFolder) -> None:
    key = newest(state).manifest.budget_key
    listing = pictures_of(people(11, *range(100, 112)))
    again = [
        replace(one, picture=replace(cast(Any, one.picture), source=bytes([index])), patient=f"r{index}")
        for index, one in enumerate(listing.pictures)
    ]
    assert take(state, replace(listing, pictures=again), name="rewritten").budget_key == key
    for number in range(2):  # what shows nothing is nobody's
        images = np.zeros((13, 2, 2, 1), dtype=np.uint8)
        images[12] = np.array([number, 0, 0, 1]).reshape(2, 2, 1)
        patients = [f"{number} {index}" for index in range(13)]
        blank = _own_files(listing_of(images, [0] * 12 + [1], ("a", "b"), patients), number)
        own = take(state, blank, name=f"blank{number}")
        assert own.budget_key == own.fingerprint


def test_a_picture_of_a_dataset_from_before_pseudonyms_shares_its_budget(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    first = take(made, pictures_of(people(*range(12))))
    _make_old(made.store / "pictures")
    assert take(made, pictures_of(people(11, *range(100, 112))), name="renamed").budget_key == first.fingerprint


def test_a_dataset_whose_store_was_removed_comes_back_to_its_budget(state: StateFolder) -> None:
    first = newest(state).manifest
    reserve(state, "one", first, steps=10)  # all of it
    shutil.rmtree(state.store / "pictures")
    made = take(state, pictures_of(people(*range(1, 14))))
    assert (made.dataset_version, made.budget_key) == (1, first.budget_key)
    assert made.fingerprint != first.fingerprint
    with pytest.raises(BudgetExceeded):
        reserve(state, "more", made, steps=1)


def test_a_second_secret_is_never_made_and_another_one_starts_no_budget(state: StateFolder) -> None:
    key = state.identity / "pseudonyms.key"
    key.unlink()
    with pytest.raises(ConfigError, match="pseudonyms"):
        pseudonym_secret(state)
    assert not key.exists()
    asked = Asked(DatasetSettings(name="renamed", unit="patient"), b"2" * 32, state.ingest_report, min_public_size=10)
    with pytest.raises(ConfigError, match="another secret"):
        Ingest(state, asked, in_this_process).take(pictures_of(people(*range(13))))
    assert {version.manifest.name for version in all_versions(state.store)} == {"pictures"}


def test_a_pruned_version_is_recognised_by_what_is_left_of_it(state: StateFolder) -> None:
    from datasites.datasets.pruning import prune

    take(state, pictures_of(people(12, 13)))
    prune(state, "pictures")
    copied = take(state, pictures_of(people(*range(12))), name="renamed")
    assert copied.budget_key == newest(state).manifest.budget_key


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"unit": "picture"}, "unit"),
        ({"modality": "ct"}, "modality"),
        ({"class_names": ("bright", "dark")}, "class_names"),
    ],
)
def test_a_version_with_other_settings_is_refused_and_they_are_named(
    state: StateFolder, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(DataError, match=rf"{named} \("):
        take(state, pictures_of(people(12)), **settings)
    assert len(versions_of(state.store, "pictures")) == 1


def test_what_is_public_changes_only_where_the_dataset_outgrows_its_size(state: StateFolder) -> None:
    first = newest(state).manifest
    assert first.public_size == 20  # 12 units, rounded up
    second = take(state, pictures_of(people(*range(12, 20))))
    assert (second.num_units, second.public) == (20, first.public)
    third = take(state, pictures_of(people(20)))
    assert (third.num_units, third.public_size) == (21, 30)
    assert take(state, pictures_of(people(21)), public_size=50).public_size == 50


def test_the_audit_log_names_each_version(state: StateFolder) -> None:
    take(state, pictures_of(people(12)))
    lines = (state.path / "audit.log").read_text()
    assert '"event":"dataset version made"' in lines.replace(": ", ":") and "p12" not in lines


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "manifest.json"])
def test_an_interruption_while_a_version_is_written_leaves_the_one_before_and_the_next_try_completes_it(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    def stop_before(folder: Path, files: dict[str, Any], **more: Any) -> None:
        def interrupted(stream: Any) -> None:
            raise OSError(28, "No space left on device")

        real(folder, {**files, file: interrupted}, **more)

    real = merging.write_folder
    before = newest(state).manifest
    with monkeypatch.context() as patch, pytest.raises(DataError, match="free disk space"):
        patch.setattr(merging, "write_folder", stop_before)
        take(state, pictures_of(people(12)))
    assert newest(state).manifest == before and len(versions_of(state.store, "pictures")) == 1
    assert take(state, pictures_of(people(12))).dataset_version == 2
    assert sorted(path.name for path in state.store.iterdir()) == ["pictures", "pictures@2"]


def test_a_second_ingest_waits_while_one_is_under_way_whatever_its_dataset_is_called(
    state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = adding.ingest
    refused: list[DataError] = []

    def another_meanwhile(*args: Any) -> Any:
        monkeypatch.undo()
        made = real(*args)
        for name in ("pictures", "renamed"):
            with pytest.raises(DataError, match="Another ingestion") as caught:
                take(at, pictures_of(people(*range(20, 33))), name=name)
            refused.append(caught.value)
        return made

    fresh = versioned.make_state(tmp_path / "south")
    for at in (state, fresh):  # into the next version, and into the first
        monkeypatch.setattr(adding, "ingest", another_meanwhile)
        take(at, pictures_of(people(*range(12, 24))))
        assert [version.manifest.name for version in all_versions(at.store)] == ["pictures"] * (2 if at is state else 1)
    assert len(refused) == 4


def test_a_store_in_another_versions_place_is_refused(state: StateFolder) -> None:
    take(state, pictures_of(people(12)))
    os.rename(state.store / "pictures@2", state.store / "pictures@3")
    with pytest.raises(StoreBroken, match="another version"):
        versions_of(state.store, "pictures")


def test_a_dataset_from_before_pseudonyms_goes_on_with_what_is_there_now_under_its_old_budget(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    take(made, pictures_of(people(*range(12))))
    manifest = _make_old(made.store / "pictures")
    second = take(made, pictures_of(people(*range(2, 16))))
    assert (second.dataset_version, second.num_units) == (2, 14)
    assert second.budget_key == manifest.fingerprint


def test_rows_of_a_version_are_in_an_order_that_does_not_tell_which_came_later(state: StateFolder) -> None:
    take(state, pictures_of(people(*range(12, 24))))
    store = newest(state)
    numbers = store.images.reshape(len(store.images), -1)[:, 0].astype(int) // 8
    late = np.flatnonzero(numbers >= 12)
    assert 12 < late.mean() < 35  # of 48 rows; 23.5 where nothing tells them apart, 35.5 where they follow


def test_findings_with_unknown_ones_go_on_as_they_are(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    images = np.arange(26, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    labels = [[index % 2, -1 if index % 3 else 1] for index in range(26)]
    named = [f"p{index}" for index in range(26)]
    listing = listing_of(images, labels, ("effusion", "nodule"), named, label_kind="multi")
    take(made, replace(listing, pictures=listing.pictures[:20]), label_kind="multi")
    second = take(made, listing, label_kind="multi")
    store = newest(made)
    assert (second.num_pictures, store.labels.dtype, store.labels.shape) == (26, np.int8, (26, 2))
    assert all(
        row.tolist() == labels[int(image[0, 0, 0])] for image, row in zip(store.images, store.labels, strict=True)
    )


def _make_old(folder: Path) -> StoreManifest:
    """Makes a store one of version 1; returns the manifest that it had."""
    manifest = open_store(folder).manifest
    old = replace(manifest, pseudonyms="", has_patients=False, version=1)
    (folder / "manifest.json").write_text(old.to_json(), encoding="ascii")
    for name in ("sources", "patients"):
        (folder / f"{name}.npy").unlink()
    return manifest


def _own_files(listing: Listing, number: int) -> Listing:
    """The same pictures, each in a file that no other dataset has."""
    return replace(
        listing,
        pictures=[
            replace(one, picture=replace(cast(Any, one.picture), source=bytes([number, index])))
            for index, one in enumerate(listing.pictures)
        ],
    )


class _OtherFile(ArrayPicture):
    def digest(self) -> bytes:
        return bytes(32)


def test_a_picture_that_a_later_ingest_finds_under_another_label_too_stops_it(state: StateFolder) -> None:
    listing = pictures_of(people(*range(12)))
    copied = replace(listing.pictures[0], labels=(1 - listing.pictures[0].labels[0],))
    both = replace(listing, pictures=[*listing.pictures, copied])  # the same file, in two classes now
    with pytest.raises(DataError, match="same_picture_in_two_classes"):
        take(state, both)
    other = listing_of(
        np.stack([pixels_of(listing)[0]]), [1 - listing.pictures[0].labels[0]], versioned.CLASSES, ["p0"]
    )
    image = pixels_of(other)[0]
    elsewhere = replace(other, pictures=[replace(other.pictures[0], picture=_OtherFile("other", image))])
    with pytest.raises(DataError, match="same_picture_in_two_classes"):
        take(state, elsewhere)
    assert len(versions_of(state.store, "pictures")) == 1


def test_a_hold_out_that_is_named_later_is_compared_with_what_is_there(state: StateFolder) -> None:
    listing = pictures_of(people(*range(12)))

    def again(hold_out: Listing, *accepted: str) -> StoreManifest:
        settings = DatasetSettings(unit="patient")
        more = {"min_public_size": versioned.LEAST, "hold_out": hold_out, "accepted": frozenset(accepted)}
        asked = Asked(settings, versioned.SECRET, state.ingest_report, **more)
        return Ingest(state, asked, in_this_process).take(listing)

    apart, within = pictures_of(people(40)), pictures_of(people(3))
    before = newest(state).manifest
    assert again(apart) == before
    with pytest.raises(DataError, match="has pictures of the hold-out already: in_hold_out"):
        again(within)
    assert again(within, "in_hold_out") == before
