"""A name that only a private row has is nowhere in the store, the schema, the mock or a public error."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.array_store import ingest, listed, pixels_of

from datasites.assets.mock import make_mock
from datasites.assets.store import open_store
from policies.errors import WanwuError

CANARY = "zyzzyva-4711"


def everything(folder: Path) -> bytes:
    """All bytes of a folder, its file names among them."""
    return b"\n".join(
        str(file.relative_to(folder)).encode() + b"\n" + (file.read_bytes() if file.is_file() else b"")
        for file in sorted(folder.rglob("*"))
    )


def assert_free_of_the_canary(content: bytes) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
        assert CANARY.encode(encoding) not in content


def folder_with_canaries(root: Path) -> Path:
    """Sixty pictures whose file names, metadata and folder name carry the canary."""
    folder = root / f"hospital {CANARY}"
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010E] = CANARY  # image description
    for number in range(60):
        file = folder / ("red" if number % 2 else "white") / f"{CANARY} {number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture.save(file, exif=exif, comment=CANARY.encode())
    return folder


def archive_with_canaries(root: Path) -> Path:
    rng = np.random.default_rng(0)
    file = root / f"{CANARY}.npz"
    np.savez(
        file,
        images=rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8),
        labels=np.arange(120) % 2,
        groups=np.array([f"{CANARY} {number % 60}" for number in range(120)]),
        ids=np.array([f"{CANARY} {number}" for number in range(120)]),
    )
    return file


@pytest.mark.parametrize(
    ("make", "unit"),
    [(folder_with_canaries, "picture"), (archive_with_canaries, "picture"), (archive_with_canaries, "patient")],
)
def test_file_names_metadata_paths_and_patients_are_not_kept(
    tmp_path: Path, make: Callable[[Path], Path], unit: str
) -> None:
    source = listed(make(tmp_path))
    manifest = ingest(source, tmp_path / "state" / "cells", name="cells", unit=unit)
    mock = make_mock(manifest.public)
    shown = f"{manifest!r} {open_store(tmp_path / 'state' / 'cells')!r} {source!r} {json.dumps(manifest.schema())}"
    assert_free_of_the_canary(everything(tmp_path / "state"))
    assert_free_of_the_canary(mock.images.tobytes() + mock.labels.tobytes() + shown.encode())


def test_no_picture_of_the_hospital_is_in_the_mock(tmp_path: Path) -> None:
    source = listed(folder_with_canaries(tmp_path))
    mock = make_mock(ingest(source, tmp_path / "state" / "cells", name="cells").public, count=60)
    assert not {image.tobytes() for image in pixels_of(source)} & {image.tobytes() for image in mock.images}


def damage(folder: Path, how: str) -> None:
    file = next((folder / "red").iterdir())
    if how == "unreadable":
        file.write_bytes(b"no picture")
    elif how == "other size":
        Image.new("RGB", (9, 9)).save(file)
    elif how == "nested":
        (folder / "red" / CANARY).mkdir()
        file.rename(folder / "red" / CANARY / file.name)
    elif how == "beside":
        file.rename(folder / file.name)
    elif how == "link outside":
        file.rename(folder.parent / file.name)
        file.symlink_to(folder.parent / file.name)
    elif how == "unknown class":
        (folder / CANARY).mkdir()
        file.rename(folder / CANARY / file.name)
    elif how == "too few":
        for one in list((folder / "red").iterdir())[1:]:
            one.unlink()


@pytest.mark.parametrize(
    "how", ["unreadable", "other size", "nested", "beside", "link outside", "unknown class", "too few"]
)
def test_public_errors_name_no_file_folder_or_count(tmp_path: Path, how: str) -> None:
    folder = folder_with_canaries(tmp_path)
    damage(folder, how)
    with pytest.raises(WanwuError) as caught:
        ingest(listed(folder, class_names=["red", "white"]), tmp_path / "state" / "cells", name="cells")
    assert CANARY not in caught.value.public
    assert not {"29", "30", "31", "59", "60", "61"} & set(caught.value.public.replace(".", " ").split())
