"""Arrays of an .npz file are listed by hospital and part, stay on the disk, are neither unpickled nor guessed at."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random
from typing import Any
from unicodedata import normalize

import httpx
import numpy as np
import pytest
from support.mutated_files import mutated

from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.arrays import medmnist
from datasites.sources.arrays.npz_pictures import npz_sites
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError, DataError
from policies.plans.picture_form import PictureForm

IMAGES = np.arange(6 * 2 * 5 * 3, dtype=np.uint8).reshape(6, 2, 5, 3)
LABELS = np.array([0, 1, 2, 0, 1, 0])
SITES = np.array(["north", "north", "north", "south", "south", "south"])
FORM = PictureForm((2, 5), 3)


def write(folder: Path, *, packed: bool = False, **changes: Any) -> Path:
    arrays = {"images": IMAGES, "labels": LABELS, **changes}
    arrays = {key: value for key, value in arrays.items() if value is not None}
    (np.savez_compressed if packed else np.savez)(folder / "data.npz", **arrays)
    return folder / "data.npz"


def listing(file: Path | str, **settings: Any) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(file), **settings))


def pixels(found: Listing, form: PictureForm = FORM) -> np.ndarray:
    return np.stack([one.picture.pixels(form) for one in found.pictures])


def labels(found: Listing) -> list[Any]:
    return [one.labels[0] if found.label_kind == "single" else one.labels for one in found.pictures]


@pytest.mark.parametrize("packed", [False, True])
def test_the_whole_file_is_listed_in_its_order(tmp_path: Path, packed: bool) -> None:
    found = listing(write(tmp_path, packed=packed))
    assert np.array_equal(pixels(found), IMAGES) and labels(found) == LABELS.tolist()
    assert found.class_names == ("class_0", "class_1", "class_2")
    assert (found.own_size, found.own_channels) == ((2, 5), 3)
    assert found.pictures[2].picture.place == "images[2]" and found.pictures[2].patient is None
    assert len({one.picture.digest() for one in found.pictures}) == 6
    assert found.pictures[0].picture.stamp() == found.pictures[1].picture.stamp()


def test_one_sites_rows_keep_the_classes_of_the_whole_file(tmp_path: Path) -> None:
    file = write(tmp_path, sites=SITES, groups=np.array([1, 1, 2, 3, 4, 3]))
    found = listing(file, site="south")
    assert np.array_equal(pixels(found), IMAGES[3:]) and labels(found) == [0, 1, 0]
    assert len(found.class_names) == 3 and [one.patient for one in found.pictures] == ["3", "4", "3"]
    with pytest.raises(DataError, match="several hospitals' pictures"):
        listing(file)
    with pytest.raises(DataError, match="No picture belongs to the site 'west'"):
        listing(file, site="west")
    with pytest.raises(DataError, match="must hold 'sites'"):
        listing(write(tmp_path), site="north")


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        (IMAGES[..., 0], 1),
        (IMAGES[..., :1], 1),
        (IMAGES.transpose(0, 3, 1, 2), 3),
        (IMAGES[..., :1].transpose(0, 3, 1, 2), 1),
    ],
)
def test_axes_are_told_apart_where_only_one_reading_is_possible(
    tmp_path: Path, images: np.ndarray, channels: int
) -> None:
    found = listing(write(tmp_path, images=images))
    assert (found.own_size, found.own_channels) == ((2, 5), channels)
    assert np.array_equal(pixels(found, PictureForm((2, 5), channels)), IMAGES[..., :channels])


@pytest.mark.parametrize(("shape", "message"), [((6, 3, 8, 3), "both axes could be"), ((6, 8, 8, 4), "no axis is of")])
def test_axes_that_could_be_either_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listing(write(tmp_path, images=np.zeros(shape, np.uint8)))


def test_arrays_in_either_order_of_memory_are_read(tmp_path: Path) -> None:
    assert np.array_equal(pixels(listing(write(tmp_path, images=np.asfortranarray(IMAGES)))), IMAGES)


def test_sixteen_bits_are_scaled_by_the_bits_that_are_declared(tmp_path: Path) -> None:
    deep = np.full((6, 2, 5), 4095, np.uint16)
    found = listing(write(tmp_path, images=deep))
    assert found.pictures[0].picture.pixels(PictureForm((2, 5), 1, bits=12)).max() == 255
    with pytest.raises(PictureRefused):
        found.pictures[0].picture.pixels(PictureForm((2, 5), 1))


# --- labels ---


@pytest.mark.parametrize("packed", [LABELS[:, None], LABELS[:, None].astype(np.uint8), np.eye(3)[LABELS]])
def test_labels_in_a_column_or_one_for_each_class_are_the_same(tmp_path: Path, packed: np.ndarray) -> None:
    assert labels(listing(write(tmp_path, labels=packed))) == LABELS.tolist()


def test_several_findings_of_a_picture_are_kept(tmp_path: Path) -> None:
    several = np.array([[0, 0], [1, 1], [1, 0], [0, np.nan], [-1, 1], [0, 0]])
    found = listing(write(tmp_path, labels=several), label_kind="multi", class_names=["effusion", "mass"])
    assert labels(found) == [(0, 0), (1, 1), (1, 0), (0, UNKNOWN), (UNKNOWN, 1), (0, 0)]
    with pytest.raises(DataError, match="Set label_kind to 'multi'"):
        listing(write(tmp_path, labels=np.array([[0, 0]] * 6)))
    with pytest.raises(DataError, match="a column for each of 3"):
        listing(write(tmp_path, labels=several), label_kind="multi", class_names=["a", "b", "c"])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_marks_are_in_the_one_form_that_other_sources_have(tmp_path: Path, form: Any) -> None:
    names, sites = ("gesünder", "rot", "weiß"), [*["Köln"] * 3, *["Süd"] * 3]
    written = {"class_names": np.array([normalize(form, one) for one in names])}
    file = write(tmp_path, **written, sites=np.array([normalize(form, one) for one in sites]))
    assert npz_sites(file) == ["Köln", "Süd"]
    for given in ("NFC", "NFD"):
        found = listing(file, site=normalize(given, "Köln"), class_names=[normalize(given, one) for one in names])
        assert found.class_names == names and len(found.pictures) == 3
    assert listing(file, site="Süd").class_names == names


def test_class_names_come_from_the_file_or_the_settings(tmp_path: Path) -> None:
    names = np.array(["red", "white", "platelet", "other"])  # a class without a picture is fine when it is named
    assert listing(write(tmp_path, class_names=names)).class_names == tuple(names)
    assert listing(write(tmp_path), class_names=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(DataError, match="must be those of the configuration"):
        listing(write(tmp_path, class_names=names), class_names=["a", "b", "c", "d"])
    with pytest.raises(DataError, match="Labels must lie from 0 to 1"):
        listing(write(tmp_path), class_names=["a", "b"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "must hold 'images'"),
        ({"labels": None}, "must hold 'labels'"),
        ({"images": IMAGES.astype(np.float32)}, "got float32 with 4 axes"),
        ({"images": IMAGES[0, 0]}, "got uint8 with 2 axes"),
        ({"labels": LABELS.astype(float)}, "got float64 with 1 axes"),
        ({"labels": LABELS[:5]}, "equally long"),
        ({"labels": LABELS + 1}, "without a gap"),
        ({"labels": LABELS * 2}, "without a gap"),
        ({"labels": LABELS - 1}, "without a gap"),
        ({"labels": LABELS * 0}, "2 to 10000 classes"),
        ({"sites": SITES[:5]}, "'sites' must be one text"),
        ({"groups": LABELS / 2}, "'groups' must be one text"),
        ({"groups": np.array(["p", "p", "p", "p", "p", ""])}, "Fill the missing patient identifiers"),
        ({"class_names": np.array([[0, 1, 2]])}, "'class_names' must be text"),
        ({"class_names": np.array([b"a", b"b", b"c"])}, "'class_names' must be text"),
        ({"classes": np.array(["a", "b", "c"])}, "names its classes in 'classes', which is not read"),
        ({"Label_Names": np.array([b"a", b"b", b"c"])}, "names its classes in 'Label_Names', which is not read"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "got int64 with 1 axes"),
        ({"images": IMAGES[:, :0]}, "sides of 1 to 4096 pixels"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listing(write(tmp_path, **changes))


def test_names_in_another_array_stop_nothing_where_the_labels_have_them_or_they_are_none(tmp_path: Path) -> None:
    named = write(tmp_path, classes=np.array(["a", "b", "c"]))
    assert listing(named, class_names=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(DataError, match="names its classes in 'classes'"):
        listing(named, class_names=["c", "b", "a"])
    assert listing(write(tmp_path, classes=LABELS)).class_names == ("class_0", "class_1", "class_2")


def test_reports_are_one_text_for_each_picture(tmp_path: Path) -> None:
    file = write(tmp_path, reports=np.array([f"report {row}" for row in range(6)]))
    assert listing(file, text_length=4).pictures[5].report == "report 5" and listing(file).pictures[5].report is None
    with pytest.raises(DataError, match="must hold 'reports'"):
        listing(write(tmp_path), text_length=4)


# --- files that are damaged or dangerous ---


def test_python_objects_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    traps = np.array([Trap()] * 6, dtype=object)
    for changes in ({"labels": traps}, {"images": traps}):
        file = write(tmp_path, packed=False, **changes)
        with pytest.raises(DataError, match="without Python objects"):
            listing(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        listing(tmp_path / "data.npz")
    assert str(tmp_path) not in caught.value.public


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_that_was_changed_is_found(tmp_path: Path, packed: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 40, 50), dtype=np.uint8)
    file = write(tmp_path, images=noise, packed=packed)
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        place = archive.getinfo("images.npy").header_offset + 5000
    content[place] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        listing(file)


def test_a_file_that_was_changed_anywhere_beneath_its_checksums_is_read_or_refused(tmp_path: Path) -> None:
    names = {"class_names": np.array(["a", "b", "c"]), "groups": np.array(list("pqrstu")), "sites": SITES}
    with zipfile.ZipFile(write(tmp_path, **names)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    random = Random(1)
    for _ in range(300):
        changed = random.choice(sorted(members))
        with zipfile.ZipFile(tmp_path / "changed.npz", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, mutated(content, random) if name == changed else content)
        try:
            found = listing(tmp_path / "changed.npz", site="north")
        except DataError as error:
            assert str(tmp_path) not in error.public
            continue
        assert all(isinstance(one.patient, str) for one in found.pictures)


# --- what stays on the disk ---


def test_pictures_of_a_packed_file_are_private_nameless_and_gone_with_the_listing(tmp_path: Path) -> None:
    found = listing(write(tmp_path, packed=True))
    file = found.pictures[0].picture.array.file  # type: ignore[attr-defined]
    assert str(os.getpid()) in file and str(Path(file).readlink()).endswith("(deleted)")
    assert Path(file).stat().st_nlink == 0 and Path(file).stat().st_mode & 0o077 == 0
    other = (
        "import pickle, sys; from policies.plans.picture_form import PictureForm; "
        "print(int(pickle.loads(sys.stdin.buffer.read()).pixels(PictureForm((2, 5), 3)).sum()))"
    )
    sent = pickle.dumps(found.pictures[3].picture)
    assert len(sent) < 600
    answer = subprocess.run([sys.executable, "-c", other], input=sent, capture_output=True, check=True)
    assert int(answer.stdout) == int(IMAGES[3].sum())
    del found
    listing(write(tmp_path, packed=True))
    gc.collect()
    assert sum("(deleted)" in os.readlink(one) for one in _descriptors()) <= 8


def _descriptors() -> list[str]:
    return [f"/proc/self/fd/{one}" for one in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{one}")]


# --- MedMNIST ---


def medmnist_file(folder: Path, kind: str = "single") -> Path:
    parts = {}
    for number, part in enumerate(("train", "val", "test")):
        parts[f"{part}_images"] = IMAGES[2 * number : 2 * number + 2]
        parts[f"{part}_labels"] = np.array([[0], [1]], np.uint8)
        if kind == "multi":
            parts[f"{part}_labels"] = np.ones((2, 14), np.uint8)
    np.savez_compressed(folder / "data.npz", **parts)
    return folder / "data.npz"


def test_of_parts_the_training_one_is_listed_unless_another_is_named(tmp_path: Path) -> None:
    file = medmnist_file(tmp_path)
    for split, chosen in (("train", slice(0, 2)), ("val", slice(2, 4)), ("test", slice(4, 6)), ("all", slice(0, 6))):
        found = listing(file, split=split)
        assert np.array_equal(pixels(found), IMAGES[chosen]), split
        assert len(found.left_out) == (0 if split == "all" else 2) and not any(one.lost for one in found.left_out)
    assert listing(file).pictures[0].picture.place == "train_images[0]"
    assert {one.place: one.reason.code for one in listing(file).left_out} == {
        "val_images": "other_split",
        "test_images": "other_split",
    }


def test_a_data_set_of_medmnist_is_fetched_once_checked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = medmnist_file(tmp_path, "multi").read_bytes()
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=content)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(medmnist.httpx, "stream", client.stream)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with pytest.raises(DataError, match="not the one that was published"):
        listing("medmnist:chestmnist", label_kind="multi")
    assert not list((tmp_path / "home" / ".medmnist").iterdir())
    known = medmnist.KNOWN["chestmnist"]
    import hashlib

    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(medmnist.KNOWN, "chestmnist", type(known)(digest, known.class_names))
    for _ in range(2):
        found = listing("medmnist:chestmnist", label_kind="multi")
        assert found.class_names[0] == "atelectasis" and len(found.pictures) == 2
    assert asked == ["https://zenodo.org/records/10519652/files/chestmnist.npz?download=1"] * 2
    with pytest.raises(ConfigError, match="bloodmnist"):
        listing("medmnist:unknown")


def test_without_a_network_it_is_said_where_the_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network", request=request)

    monkeypatch.setattr(medmnist.httpx, "stream", httpx.Client(transport=httpx.MockTransport(answer)).stream)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"Without a network, copy the file to .*bloodmnist\.npz"):
        listing("medmnist:bloodmnist")


def test_the_known_data_sets_can_be_published() -> None:
    from datasites.sources.class_names import check_class_names

    for known in medmnist.KNOWN.values():
        assert len(known.md5) == 32 and check_class_names(known.class_names)
