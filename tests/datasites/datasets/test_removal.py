"""Patients who withdraw: a version without them, who had seen them, and nothing that brings them back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import versioned
from support.books import ledger_of
from support.versioned import SECRET, newest, numbers_in, people, pictures_of, reserve, run_round, take

from datasites.assets.dataset_version import versions_of
from datasites.assets.features import draw_features
from datasites.assets.store import open_store
from datasites.cli.program import main
from datasites.config import DatasiteConfig
from datasites.datasets import adding, merging, removal
from datasites.datasets.merging import Part
from datasites.datasets.next_version import make_version
from datasites.datasets.pruning import prune
from datasites.datasets.removal import remove_patients
from datasites.files.private_file import write_private
from datasites.files.private_folder import only_writer
from datasites.files.state_folder import StateFolder
from datasites.ingestion.pseudonyms import of_patient
from datasites.prepare import stored_pictures
from datasites.state import lock
from datasites.state.kept_books import open_audit
from datasites.state.version import write_version
from policies.errors import ConfigError, DataError, StoreBroken
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.features import ScatteringSpec

LEAST = versioned.LEAST


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """Twelve patients, two pictures each; of studies, `ran` gave an update, `waits` was approved only."""
    made = versioned.make_state(tmp_path / "north")
    config = DatasiteConfig.from_toml(made.config)
    limits = replace(config.limits, min_public_size=LEAST)
    write_private(made.config, replace(config, limits=limits).to_toml())
    manifest = take(made, pictures_of(people(*range(12))))
    reserve(made, "ran", manifest, steps=2)
    run_round(made, "ran", 0)
    reserve(made, "waits", manifest, steps=2)
    return made


def remove(state: StateFolder, *numbers: int) -> removal.Removal:
    return remove_patients(state, "pictures", people(*numbers), least=LEAST)


def texts_in(state: StateFolder) -> str:
    """All that stands in the state folder, as text."""
    return "\n".join(path.read_text(errors="replace") for path in state.path.rglob("*") if path.is_file())


def test_a_removed_patient_is_in_the_version_before_and_not_in_the_new_one(state: StateFolder) -> None:
    before = newest(state).manifest
    done = remove(state, 3)
    store = newest(state)
    assert (done.version, done.patients, done.pictures) == (2, 1, 2)
    assert numbers_in(store) == set(range(12)) - {3}
    assert (store.manifest.num_units, store.manifest.num_pictures) == (11, 22)
    assert store.manifest.budget_key == before.fingerprint != store.manifest.fingerprint
    assert numbers_in(open_store(state.store / "pictures")) == set(range(12))


def test_nothing_that_a_researcher_sees_changes_with_a_removal(state: StateFolder) -> None:
    before = newest(state).manifest
    remove(state, 3)
    remove(state, 4)
    assert newest(state).manifest.public == before.public
    assert newest(state).manifest.schema() == before.schema()


def test_a_removal_tells_whose_models_had_seen_the_patient_and_who_still_may(state: StateFolder) -> None:
    later = take(state, pictures_of(people(12)))  # version 2; patient 12 is in no earlier one
    reserve(state, "later", later, steps=2)
    run_round(state, "later", 0, update="2" * 64)
    run_round(state, "later", 1, update=NOTHING_LEFT)
    ledger_of(state).release("ran", "done")
    old = remove(state, 3)
    told = {one.request_id: (one.version, one.rounds_read, one.rounds_released, one.under_way) for one in old.seen_by}
    assert told == {"ran": (1, 1, 1, False), "waits": (1, 0, 0, True), "later": (2, 2, 1, True)}
    assert {one.request_id for one in remove(state, 12).seen_by} == {"later"}


def test_a_study_of_a_version_that_no_longer_has_the_patient_has_not_seen_them(state: StateFolder) -> None:
    remove(state, 3)
    reserve(state, "after", newest(state).manifest, steps=2)
    run_round(state, "after", 0, update="2" * 64)
    assert "after" not in {one.request_id for one in remove(state, 3).seen_by}


def test_a_version_that_does_not_say_who_is_in_it_may_have_shown_anybody(state: StateFolder) -> None:
    remove(state, 3)
    (state.store / "pictures" / "patients.npy").unlink()
    told = {one.request_id: one.certain for one in remove(state, 5).seen_by}
    assert told == {"ran": False, "waits": False}


def test_a_later_ingest_takes_nobody_back_under_the_identifier_or_by_the_file(state: StateFolder) -> None:
    remove(state, 3, 4)
    everybody = pictures_of(people(*range(13)))
    assert take(state, everybody).num_units == 11  # 10 that stayed, and patient 12
    renamed = [replace(one, patient="q" if one.patient == "p3" else one.patient) for one in everybody.pictures]
    made = take(state, replace(everybody, pictures=renamed))
    assert (made.num_units, numbers_in(newest(state))) == (11, set(range(13)) - {3, 4})
    other = take(state, everybody, name="renamed")
    assert other.num_units == 11


@pytest.mark.parametrize("spelt", ["Zoe\u0308 1", " Zo\u00eb 1", "Zo\u00eb 1\u00a0"])
def test_a_patient_is_one_however_their_letters_are_written(tmp_path: Path, spelt: str) -> None:
    made = versioned.make_state(tmp_path / "north")
    listing = pictures_of(people(*range(12)))
    named = [replace(one, patient="Zo\u00eb 1") for one in listing.pictures[:3]]
    take(made, replace(listing, pictures=[*named, replace(listing.pictures[3], patient=spelt), *listing.pictures[4:]]))
    assert newest(made).manifest.num_units == 11
    removed = remove_patients(made, "pictures", [spelt], least=LEAST)
    assert (removed.patients, removed.pictures) == (1, 4)
    assert take(made, pictures_of(people(14))).num_units == 11
    again = replace(listing, pictures=[replace(one, patient=spelt) for one in pictures_of(people(13)).pictures])
    assert take(made, again).num_units == 11


def test_who_withdrew_stays_out_also_once_two_issuers_have_given_the_identifier(state: StateFolder) -> None:
    remove(state, 3)
    listing = pictures_of(people(13))
    both = [replace(one, patient=f"p3\\{where}") for one, where in zip(listing.pictures, "ns", strict=True)]
    assert take(state, replace(listing, pictures=both)).dataset_version == 2
    assert numbers_in(newest(state)) == set(range(12)) - {3}


def test_a_folder_whose_name_is_no_text_can_be_a_patients(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    listing = pictures_of(people(*range(12)))
    odd = replace(listing, pictures=[replace(listing.pictures[0], patient="p\udcff"), *listing.pictures[1:]])
    assert take(made, odd).num_units == 13


def test_neither_terminal_nor_log_nor_state_folder_holds_an_identifier(state: StateFolder) -> None:
    name = "Meier^Anna 17.03.1961"
    listing = pictures_of(people(12))
    take(state, replace(listing, pictures=[replace(one, patient=name) for one in listing.pictures]))
    remove_patients(state, "pictures", [name], least=LEAST)
    found = texts_in(state)
    assert "Meier" not in found and "03.1961" not in found and "p3" not in found.split('"')
    events = [json.loads(line) for line in (state.path / "audit.log").read_text().splitlines()]
    told = next(event for event in events if event["event"] == removal.WITHDRAWN)
    assert (told["patients"], told["count"]) == (of_patient(SECRET, name).hex()[:16], 1)


def test_several_patients_leave_in_one_version(state: StateFolder) -> None:
    assert remove(state, 0, 11).version == 2
    assert numbers_in(newest(state)) == set(range(1, 11))
    assert len(versions_of(state.store, "pictures")) == 2


def test_removing_again_changes_nothing(state: StateFolder) -> None:
    remove(state, 3)
    again = remove(state, 3)
    assert (again.version, again.pictures) == (None, 0)
    assert len(versions_of(state.store, "pictures")) == 2
    assert {one.request_id for one in again.seen_by} == {"ran", "waits"}


def test_an_unknown_patient_is_refused_and_nothing_is_changed(state: StateFolder) -> None:
    with pytest.raises(DataError, match="in no version") as refused:
        remove(state, 3, 77)
    assert "p77" not in refused.value.public + refused.value.private and "2 of 2" in refused.value.private
    assert len(versions_of(state.store, "pictures")) == 1 and not state.withdrawn.exists()


def test_a_dataset_that_would_be_too_small_is_left_as_it_is(state: StateFolder) -> None:
    with pytest.raises(DataError, match="at least 10"):
        remove(state, 0, 1, 2)
    assert len(versions_of(state.store, "pictures")) == 1 and not state.withdrawn.exists()


def test_a_dataset_without_patients_says_so(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    listing = pictures_of(people(*range(12)))
    unnamed = replace(listing, pictures=[replace(one, patient=None) for one in listing.pictures])
    take(made, unnamed, unit="picture")
    with pytest.raises(DataError, match="does not say whose"):
        remove(made, 3)


def test_with_unit_picture_all_pictures_of_the_patient_leave(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    take(made, pictures_of(people(*range(12))), unit="picture")
    assert remove(made, 3).pictures == 2
    assert numbers_in(newest(made)) == set(range(12)) - {3} and newest(made).manifest.num_units == 22


def test_interrupted_after_the_withdrawal_was_noted_the_same_call_completes_it(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="free disk space"):
        patch.setattr(merging, "write_folder", interrupted)
        remove(state, 3)
    assert numbers_in(newest(state)) == set(range(12))  # whole
    with monkeypatch.context() as patch:
        patch.setattr(adding, "make_version", interrupted)  # neither does an ingest that fails too change that
        with pytest.raises(OSError, match="No space"):
            take(state, pictures_of(people(3, 12)))
    assert remove(state, 3).version == 2
    assert take(state, pictures_of(people(3, 12))).num_units == 12
    assert numbers_in(newest(state)) == set(range(13)) - {3}


def test_a_removal_that_was_interrupted_is_completed_before_the_dataset_is_served(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    config = DatasiteConfig.from_toml(state.config)
    first = stored_pictures(state, config)
    assert first.dataset_version == 1
    with monkeypatch.context() as patch, pytest.raises(DataError, match="free disk space"):
        patch.setattr(merging, "write_folder", interrupted)
        remove(state, 3)
    served = stored_pictures(state, config)
    assert (served.dataset_version, served.budget_key, served.public) == (2, first.budget_key, first.public)
    assert numbers_in(newest(state)) == set(range(12)) - {3}
    assert stored_pictures(state, config) == served


def test_who_withdrew_from_one_dataset_is_in_no_other_that_is_served(state: StateFolder) -> None:
    take(state, pictures_of(people(*range(14))), name="more")
    remove(state, 3)
    config = DatasiteConfig.from_toml(state.config)
    more = replace(config, dataset=replace(config.dataset, name="more"))
    assert stored_pictures(state, more).dataset_version == 2
    assert numbers_in(newest(state, "more")) == set(range(14)) - {3}
    too_few = replace(more, limits=replace(more.limits, min_public_size=14))
    remove(state, 4)
    with pytest.raises(DataError, match="at least 14 privacy units"):
        stored_pictures(state, too_few)


def test_a_list_of_withdrawn_patients_that_cannot_be_read_stops_an_ingest(state: StateFolder) -> None:
    remove(state, 3)
    state.withdrawn.write_text(state.withdrawn.read_text()[:-20])
    with pytest.raises(StoreBroken, match="withdrew"):
        take(state, pictures_of(people(12)))


def test_the_command_reads_identifiers_from_a_file_and_names_who_had_seen_them(
    state: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "withdrawn.txt"
    named.write_text("\ufeffp3\r\n\r\n  p4 \n", encoding="utf-8")
    assert main(["dataset", "remove-patient", "--patients", str(named), "--state", str(state.path)]) == 0
    told = capsys.readouterr().out
    assert "Version 2 of 'pictures' is without 4 pictures" in told
    assert "study 'study-ran' of ada@example.org: 1 rounds had seen them in version 1, 1 gave a model" in told
    assert "Still under way, on that version: ran, waits" in told
    assert "on this disk still, in version 1," in told and "dataset prune" in told
    assert "p3" not in told and "p4" not in told


def test_a_removal_tells_which_versions_on_this_disk_have_pictures_of_theirs(state: StateFolder) -> None:
    assert remove(state, 3).still_in == (1,)
    assert remove(state, 4).still_in == (1, 2)
    assert remove(state, 3).still_in == (1,), "said again where it is asked for again"
    for request in ("ran", "waits"):
        ledger_of(state).release(request, "done")
    prune(state, "pictures")
    assert remove(state, 4).still_in == ()


def test_a_removal_names_the_features_that_the_new_version_has_not_yet(
    state: StateFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ScatteringSpec(24, 1)
    draw_features(state.store / "pictures", spec)
    named = tmp_path / "withdrawn.txt"
    named.write_text("p3\n")
    assert main(["dataset", "remove-patient", "--patients", str(named), "--state", str(state.path)]) == 0
    told = capsys.readouterr().out
    assert f"features that version 2 has not: {spec.key}. Compute them" in told
    draw_features(state.store / "pictures@2", spec)
    assert remove(state, 4).features == (spec.key,)
    assert remove(state, 4).features == ()


def test_what_an_ingest_had_read_of_who_withdraws_and_made_no_version_of_is_removed(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(adding, "make_version", interrupted)
        take(state, pictures_of(people(3), each=4))
    unknown_before = np.array([26, 0, 0, 7], np.uint8).tobytes()

    def on_disk() -> bool:
        return any(unknown_before in file.read_bytes() for file in state.store.rglob("*.npy"))

    assert on_disk()
    with only_writer(state.path):
        assert remove(state, 3).ingest_under_way, "its pictures are not taken from under it"
    assert on_disk()
    assert not remove(state, 3).ingest_under_way
    assert not on_disk()


# --- pruning ---


def test_pruning_removes_what_neither_a_study_under_way_nor_a_new_request_reads(state: StateFolder) -> None:
    take(state, pictures_of(people(12)))
    take(state, pictures_of(people(13)))
    done = prune(state, "pictures")
    assert (done.versions, done.needed) == ((2,), (1,)) and done.bytes_freed > 0
    assert [(one.number, one.whole) for one in versions_of(state.store, "pictures")] == [
        (1, True),
        (2, False),
        (3, True),
    ]
    assert sorted(path.name for path in (state.store / "pictures@2").iterdir()) == [
        "manifest.json",
        "patients.npy",
        "sources.npy",
    ]
    for request in ("ran", "waits"):
        ledger_of(state).release(request, "done")
    assert prune(state, "pictures").versions == (1,)
    assert prune(state, "pictures").versions == ()
    numbers_in(newest(state))


def test_who_was_in_a_pruned_version_is_still_known(state: StateFolder) -> None:
    remove(state, 3)
    for request in ("ran", "waits"):
        ledger_of(state).release(request, "done")
    prune(state, "pictures")
    assert {one.request_id for one in remove(state, 3).seen_by} == {"ran"}  # nothing of the other has run


def test_pruning_goes_on_where_it_was_interrupted(state: StateFolder) -> None:
    take(state, pictures_of(people(12)))
    take(state, pictures_of(people(13)))
    (state.store / "pictures@2" / "images.npy").unlink()
    assert prune(state, "pictures").versions == (2,)


def test_a_running_datasite_is_not_pruned(state: StateFolder) -> None:
    held = lock.hold(state)
    try:
        with pytest.raises(ConfigError, match="running"):
            prune(state, "pictures")
    finally:
        os.close(held)


def test_the_withdrawn_patients_pixels_are_gone_from_disk_once_nothing_needs_them(state: StateFolder) -> None:
    bytes_of_three = [np.array([24 + index, 0, 0, 7], np.uint8).tobytes() for index in range(2)]
    remove(state, 3)
    for request in ("ran", "waits"):
        ledger_of(state).release(request, "done")
    prune(state, "pictures")
    stored = b"".join(path.read_bytes() for path in state.store.rglob("images.npy"))
    assert not any(content in stored for content in bytes_of_three)


def test_an_ingest_that_was_begun_before_a_removal_brings_nobody_back(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, listing = adding.ingest, pictures_of(people(12), each=3)
    listing = replace(listing, pictures=[*listing.pictures, *pictures_of(people(3), each=4).pictures[2:]])

    def removed_meanwhile(*args: Any) -> Any:
        made = real(*args)
        remove(state, 3)
        return made

    with monkeypatch.context() as patch, pytest.raises(DataError, match="meanwhile"):
        patch.setattr(adding, "ingest", removed_meanwhile)
        take(state, listing)
    assert 3 not in numbers_in(newest(state))
    stale = Part(open_store(state.store / "pictures"), np.arange(24))
    with only_writer(state.store):
        made = make_version(state, "pictures", [stale], open_audit(state), public_size=0, least=LEAST)
    assert (made.dataset_version, made.num_units) == (3, 11) and 3 not in numbers_in(newest(state))


@pytest.mark.parametrize("version", [1, 99])
@pytest.mark.parametrize(
    "command", [["ingest"], ["dataset", "remove-patient"], ["dataset", "prune"], ["dataset", "show", "pictures"]]
)
def test_a_state_folder_of_another_programs_version_is_left_alone(
    state: StateFolder, version: int, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_version(state.path, version)
    before = {path: path.read_bytes() for path in state.path.rglob("*") if path.is_file()}
    assert main([*command, "--state", str(state.path)]) == 1
    assert "WW823" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in state.path.rglob("*") if path.is_file()} == before
