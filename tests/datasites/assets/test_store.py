"""A store holds exactly the pictures that were ingested, appears whole or not at all, and says when it is damaged."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest

from datasites.assets.fingerprint import fingerprint
from datasites.assets.store import StoreManifest, open_store
from datasites.files import private_folder
from policies.errors import DataError, StoreBroken, WanwuError
from policies.plans.picture_form import PictureForm

FILES = ["by_unit.npy", "images.npy", "labels.npy", "manifest.json", "sources.npy", "unit_starts.npy", "units.npy"]


def pictures(count: int = 120, *, seed: int = 0, patients: int | None = None) -> SourcePictures:
    """Different pictures; picture i has class i % 3 and patient i % patients."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    ids = None if patients is None else tuple(f"patient {i % patients}" for i in range(count))
    return SourcePictures(images, np.arange(count, dtype=np.int64) % 3, ("a", "b", "c"), ids)


def row_of(source: SourcePictures) -> dict[bytes, int]:
    return {image.tobytes(): row for row, image in enumerate(source.images)}


def test_every_picture_is_there_once_with_its_label(tmp_path: Path) -> None:
    source = pictures()
    ingest(source, tmp_path / "cells", name="cells")
    store = open_store(tmp_path / "cells")
    rows = [row_of(source)[image.tobytes()] for image in store.images]
    assert sorted(rows) == list(range(120))
    assert store.labels.tolist() == [row % 3 for row in rows]
    assert store.units.tolist() == list(range(120))


def test_the_sources_order_is_not_kept_and_differs_from_store_to_store(tmp_path: Path) -> None:
    source = pictures()
    for name in ("one", "two"):
        ingest(source, tmp_path / name, name="cells")
    first, second = (open_store(tmp_path / name).images for name in ("one", "two"))
    assert not np.array_equal(first, source.images)
    assert not np.array_equal(first, second)


def test_pictures_of_one_patient_are_one_unit_and_units_tell_no_order(tmp_path: Path) -> None:
    source = pictures(180, patients=60)
    manifest = ingest(source, tmp_path / "cells", name="cells", unit="patient")
    assert (manifest.num_pictures, manifest.num_units, manifest.public_size) == (180, 60, 60)
    store = open_store(tmp_path / "cells")
    patients = np.array([row_of(source)[image.tobytes()] % 60 for image in store.images])
    pairs = set(zip(patients.tolist(), store.units.tolist(), strict=True))
    assert len(pairs) == 60  # one unit for each patient, one patient for each unit
    assert any(patient != unit for patient, unit in pairs)


def test_pictures_of_a_patient_are_units_of_their_own_where_the_unit_is_the_picture(tmp_path: Path) -> None:
    assert ingest(pictures(180, patients=2), tmp_path / "cells", name="cells").num_units == 180


def test_the_unit_patient_needs_patients(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a patient for each picture"):
        ingest(pictures(), tmp_path / "cells", name="cells", unit="patient")


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    store = open_store(tmp_path / "cells")
    for array in (store.images, store.labels, store.units):
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_only_the_hospitals_account_can_read_a_store(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ingest(pictures(), tmp_path / "store" / "cells", name="cells")
    finally:
        os.umask(before)
    folder = tmp_path / "store" / "cells"
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(("count", "size"), [(99, 100), (100, 100), (101, 110), (256, 260), (50, 50), (64, 70)])
def test_the_public_size_is_the_number_of_units_rounded_up(tmp_path: Path, count: int, size: int) -> None:
    assert ingest(pictures(count), tmp_path / "cells", name="cells").public_size == size


def test_a_declared_public_size_is_taken(tmp_path: Path) -> None:
    assert ingest(pictures(64), tmp_path / "cells", name="cells", public_size=55).public_size == 55
    with pytest.raises(DataError, match="public_size must be a whole number from 50"):
        ingest(pictures(64), tmp_path / "other", name="cells", public_size=49)


def test_too_few_units_are_not_published_and_their_number_is_not_told(tmp_path: Path) -> None:
    for source, unit in ((pictures(49), "picture"), (pictures(147, patients=49), "patient")):
        with pytest.raises(DataError, match="at least 50 privacy units") as caught:
            ingest(source, tmp_path / "cells", name="cells", unit=unit, public_size=60)
        assert "49" not in caught.value.public
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_the_public_part_alone(tmp_path: Path) -> None:
    manifest = ingest(pictures(123), tmp_path / "cells", name="cells")
    assert manifest.schema() == {
        "name": "cells",
        "class_names": ["a", "b", "c"],
        "image_shape": [4, 5, 3],
        "unit": "picture",
        "public_size": 130,
        "version": 2,
        "form": PictureForm((4, 5), 3).to_dict() | {"size": [4, 5]},
    }
    for shown in (json.dumps(manifest.schema()), repr(manifest), repr(open_store(tmp_path / "cells"))):
        assert "123" not in shown
        assert manifest.fingerprint not in shown


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = ingest(pictures(), tmp_path / "cells", name="cells")
    assert StoreManifest.from_json(manifest.to_json()) == manifest == open_store(tmp_path / "cells").manifest


# --- fingerprint ---


def test_the_fingerprint_is_the_digest_of_the_sorted_digests_of_shape_and_pixels() -> None:
    images = np.array([[[[7]]], [[[3]]]], dtype=np.uint8)  # two pictures of one grey pixel
    shape = bytes([1, 0, 0, 0]) * 3
    digests = sorted(hashlib.sha256(shape + bytes([level])).digest() for level in (7, 3))
    assert fingerprint(images) == hashlib.sha256(digests[0] + digests[1]).hexdigest()


def test_a_renamed_reordered_relabelled_or_regrouped_copy_has_the_same_fingerprint(tmp_path: Path) -> None:
    source = pictures(patients=60)
    order = np.random.default_rng(1).permutation(120)
    copy = SourcePictures(source.images[order], 2 - source.labels, ("x", "y", "z"), None)
    first = ingest(source, tmp_path / "one", name="cells", unit="patient")
    second = ingest(copy, tmp_path / "two", name="other")
    assert first.fingerprint == second.fingerprint == fingerprint(source.images)


def test_another_pixel_shape_or_number_of_pictures_has_another_fingerprint() -> None:
    images = pictures().images
    pixel = images.copy()
    pixel[5, 1, 1, 1] ^= 1
    others = [pixel, images[1:], np.concatenate([images, images[:1]]), images.reshape(120, 5, 4, 3)]
    assert len({fingerprint(other) for other in [images, *others]}) == 5


# --- again, and elsewhere ---


def test_ingesting_the_same_again_changes_nothing(tmp_path: Path) -> None:
    source = pictures()
    first = ingest(source, tmp_path / "cells", name="cells", public_size=77)
    before = {name: (tmp_path / "cells" / name).read_bytes() for name in FILES}
    order = np.arange(120)[::-1]
    again = SourcePictures(source.images[order], source.labels[order], source.class_names)
    assert ingest(again, tmp_path / "cells", name="cells") == first
    assert {name: (tmp_path / "cells" / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize(
    "change",
    [
        lambda source: pictures(seed=1),
        lambda source: replace(source, labels=source.labels[::-1].copy()),
        lambda source: replace(source, class_names=("a", "b", "d")),
        lambda source: replace(source, images=source.images.reshape(120, 5, 4, 3)),
    ],
    ids=["pictures", "labels", "class names", "shape"],
)
def test_ingesting_something_else_into_a_store_is_refused(
    tmp_path: Path, change: Callable[[SourcePictures], SourcePictures]
) -> None:
    source = pictures()
    ingest(source, tmp_path / "cells", name="cells")
    with pytest.raises(DataError, match="was ingested before and stays as it is"):
        ingest(change(source), tmp_path / "cells", name="cells")
    open_store(tmp_path / "cells").verify()


def test_the_same_pictures_under_another_name_or_setting_are_refused(tmp_path: Path) -> None:
    source = pictures(patients=60)
    ingest(source, tmp_path / "cells", name="cells", public_size=100)
    for settings in ({"name": "other"}, {"name": "cells", "unit": "patient"}, {"name": "cells", "public_size": 90}):
        with pytest.raises(DataError, match=f"Settings differ: {list(settings)[-1]} ") as caught:
            ingest(source, tmp_path / "cells", **settings)  # type: ignore[arg-type]
        assert str(list(settings.values())[-1]) in caught.value.public


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="does and holds no store"):
        ingest(pictures(), tmp_path / "cells", name="cells")
    assert (tmp_path / "cells" / "thesis.txt").read_text() == "years of work"


def test_a_moved_store_opens(tmp_path: Path) -> None:
    manifest = ingest(pictures(), tmp_path / "cells", name="cells")
    (tmp_path / "cells").rename(tmp_path / "elsewhere")
    assert open_store(tmp_path / "elsewhere").manifest == manifest


@pytest.mark.parametrize(("name", "unit"), [("Cells", "picture"), ("", "picture"), ("../x", "picture"), ("a", "ward")])
def test_a_name_or_unit_out_of_form_is_refused(tmp_path: Path, name: str, unit: str) -> None:
    with pytest.raises(WanwuError, match=r"name must be|unit must be"):
        ingest(pictures(), tmp_path / "cells", name=name, unit=unit)


def as_version_1(folder: Path) -> None:
    """The same store as the program before this format wrote it."""
    labels, units = (np.load(folder / f"{name}.npy") for name in ("labels", "units"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for field in ("pseudonyms", "form", "has_patients"):
        manifest.pop(field, None)
    manifest |= {"version": 1, "rows_digest": hashlib.sha256(labels.tobytes() + units.tobytes()).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name in ("sources", "by_unit", "unit_starts"):
        (folder / f"{name}.npy").unlink()


def test_a_store_of_version_1_opens_and_is_not_taken_for_another_one(tmp_path: Path) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    as_version_1(tmp_path / "cells")
    store = open_store(tmp_path / "cells")
    store.verify()
    assert store.manifest.version == 1 and store.sources is None and store.by_unit is None
    assert ingest(pictures(), tmp_path / "cells", name="cells") == store.manifest
    with pytest.raises(DataError, match=r"Settings differ: class_names \(a, b, c is there, a, b, d was asked\)"):
        ingest(replace(pictures(), class_names=("a", "b", "d")), tmp_path / "cells", name="cells")


# --- torn ---


@pytest.mark.parametrize("sync", range(11))
def test_a_kill_at_any_moment_leaves_a_whole_store_or_none(tmp_path: Path, sync: int) -> None:
    child = os.fork()
    if child == 0:  # killed before a sync: report, its folder, pixels, six files, the folder aside, the parent
        try:
            done: list[int] = []
            real = os.fsync

            def fsync(handle: int) -> None:
                if len(done) == sync:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.append(handle)
                real(handle)

            os.fsync = fsync  # type: ignore[assignment]
            ingest(pictures(), tmp_path / "cells", name="cells")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    if sync < 10:
        assert not (tmp_path / "cells").exists()
    else:
        open_store(tmp_path / "cells").verify()
    ingest(pictures(), tmp_path / "cells", name="cells")
    open_store(tmp_path / "cells").verify()
    left = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".ingest-report.csv.")]
    assert sorted(left) == ["cells", "ingest-report.csv"]


def test_a_full_disk_publishes_nothing_and_the_next_try_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(private_folder.os, "fsync", full)
        with pytest.raises(DataError, match="free disk space"):
            ingest(pictures(), tmp_path / "cells", name="cells")
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    ingest(pictures(), tmp_path / "cells", name="cells")
    open_store(tmp_path / "cells").verify()
    assert not list(tmp_path.glob(".*"))


def test_two_ingestions_at_once_are_refused(tmp_path: Path) -> None:
    with private_folder.only_writer(tmp_path), pytest.raises(DataError, match="Another ingestion is writing"):
        ingest(pictures(), tmp_path / "cells", name="cells")
    ingest(pictures(), tmp_path / "cells", name="cells")


# --- damaged ---


@pytest.mark.parametrize("name", FILES)
def test_a_missing_cut_or_lengthened_file_is_noticed_on_opening(tmp_path: Path, name: str) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    file = tmp_path / "cells" / name
    whole = file.read_bytes()
    for content in (whole[:-1], whole[:20], b"", whole + b"\0"):
        file.write_bytes(content)
        with pytest.raises(StoreBroken):
            open_store(tmp_path / "cells")
    file.unlink()
    with pytest.raises(StoreBroken) as caught:
        open_store(tmp_path / "cells")
    assert str(tmp_path) not in caught.value.public


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_pictures", 119),
        ("image_shape", [5, 4, 3]),
        ("image_shape", [4, 5]),
        ("unit", "ward"),
        ("version", 3),
        ("pseudonyms", "secret"),
        ("has_patients", 1),
        ("label_kind", "multi"),
        ("public_size", "100"),
        ("fingerprint", "f" * 63),
        ("extra", 1),
    ],
)
def test_a_manifest_that_does_not_fit_is_noticed_on_opening(tmp_path: Path, field: str, value: object) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    file = tmp_path / "cells" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(StoreBroken):
        open_store(tmp_path / "cells")


@pytest.mark.parametrize("content", ["[]", "null", "7", '"text"', "{}", "[" * 100_000])
def test_a_manifest_that_is_none_is_noticed(content: str) -> None:
    with pytest.raises(StoreBroken):
        StoreManifest.from_json(content)


@pytest.mark.parametrize("name", ["images", "labels", "units", "sources", "by_unit"])
def test_arrays_of_another_type_are_noticed_on_opening(tmp_path: Path, name: str) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    file = tmp_path / "cells" / f"{name}.npy"
    np.save(file, np.load(file).astype(np.int32))
    with pytest.raises(StoreBroken, match="type and shape"):
        open_store(tmp_path / "cells")


@pytest.mark.parametrize(
    ("name", "message"), [("images", "pictures are not"), ("labels", "labels, units or reports are not")]
)
def test_a_changed_row_is_noticed_by_verify(tmp_path: Path, name: str, message: str) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    open_store(tmp_path / "cells").verify()
    array = np.load(tmp_path / "cells" / f"{name}.npy", mmap_mode="r+")
    array.flat[60] = (int(array.flat[60]) + 1) % 3
    array.flush()
    with pytest.raises(StoreBroken, match=message):
        open_store(tmp_path / "cells").verify()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("num_units", 121, "unit_starts"), ("num_units", 119, "unit_starts"), ("class_names", ["a", "b"], "labels")],
)
def test_a_manifest_that_counts_otherwise_is_noticed_before_anything_is_served(
    tmp_path: Path, field: str, value: object, message: str
) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells")
    file = tmp_path / "cells" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(StoreBroken, match=message):
        open_store(tmp_path / "cells").check_rows()


@pytest.mark.parametrize("name", ["labels", "units", "sources", "patients", "by_unit", "unit_starts"])
def test_a_changed_row_is_noticed_before_anything_is_served(tmp_path: Path, name: str) -> None:
    ingest(pictures(patients=60), tmp_path / "cells", name="cells")
    open_store(tmp_path / "cells").check_rows()
    array = np.load(tmp_path / "cells" / f"{name}.npy", mmap_mode="r+")
    array.flat[0] = (int(array.flat[0]) + 1) % 3
    array.flush()
    with pytest.raises(StoreBroken):
        open_store(tmp_path / "cells").check_rows()
