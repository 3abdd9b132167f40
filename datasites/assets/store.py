"""The picture store: a hospital's pictures, memory-mapped, without file names or patient identifiers.

Only what `StoreManifest.schema` returns may cross the boundary; pictures, labels, units and counts never do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.assets.pictures import SourcePictures, check_class_names
from policies import validate
from policies.errors import DataError, PlanError, StoreBroken
from policies.plan import UNITS, canonical_json

STORE_VERSION = 1
MANIFEST = "manifest.json"
ARRAYS = {"images": np.dtype(np.uint8), "labels": np.dtype(np.int64), "units": np.dtype(np.int64)}


@dataclass(frozen=True)
class StoreManifest:
    """What a store holds.

    Attributes:
        name: Public: the dataset's name.
        class_names: Public: names of the classes, in label order.
        image_shape: Public: (height, width, channels) in pixels.
        unit: Public: the privacy unit, a `picture` or a `patient` with all their pictures.
        public_size: Public: the declared number of units.
        num_pictures: Private: rows in the store.
        num_units: Private: units in the store.
        fingerprint: Private: `fingerprint` of the pictures; copies of a dataset share it, and so a privacy ledger.
        rows_digest: Private: SHA-256 of labels and units as stored.
        version: Of the store's format.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    num_pictures: int = field(repr=False)
    num_units: int = field(repr=False)
    fingerprint: str = field(repr=False)
    rows_digest: str = field(repr=False)
    version: int = STORE_VERSION

    def __post_init__(self) -> None:
        validate.name("name", self.name)
        object.__setattr__(self, "class_names", check_class_names(self.class_names))
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if len(self.image_shape) != 3:
            raise DataError("image_shape must be (height, width, channels).")
        for size in self.image_shape:
            validate.integer("image_shape", size, low=1, high=4096)
        validate.choice("unit", self.unit, UNITS)
        for count in ("public_size", "num_pictures", "num_units"):
            validate.integer(count, getattr(self, count), low=1, high=10**9)
        validate.digest("fingerprint", self.fingerprint)
        validate.digest("rows_digest", self.rows_digest)
        validate.integer("version", self.version, low=STORE_VERSION, high=STORE_VERSION)

    def schema(self) -> dict[str, Any]:
        """The public part, as plain values.

        Guarantees:
            No value in it is computed from pictures, labels or patients, except the image shape and, where the
            hospital declared no public size, the number of units rounded down to one significant digit.
        """
        public = ("name", "class_names", "image_shape", "unit", "public_size", "version")
        values = {key: getattr(self, key) for key in public}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    def to_json(self) -> str:
        """Canonical JSON of all fields, for the store's own folder."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StoreManifest:
        """Reads what `to_json` writes.

        Raises:
            StoreBroken: Not that.
        """
        try:
            values = json.loads(text)
            if set(values) != {f.name for f in fields(cls)}:
                raise DataError("The manifest must hold exactly its known fields.")
            return cls(**values)
        except (ValueError, TypeError, RecursionError, PlanError, DataError) as error:
            raise StoreBroken(
                "The store's manifest cannot be read. Restore the store from a copy, or ingest the pictures anew.",
                private=str(error),
            ) from error


@dataclass(frozen=True, eq=False, repr=False)
class PictureStore:
    """An open store; its arrays are read from disk as they are used.

    Attributes:
        manifest: What the store holds.
        images: uint8, (N, H, W, C), memory-mapped, read-only.
        labels: int64, (N,), memory-mapped, read-only.
        units: int64, (N,), memory-mapped, read-only: whose picture each one is, 0 to num_units - 1.
    """

    manifest: StoreManifest
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    units: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"PictureStore({self.manifest!r})"

    def verify(self) -> None:
        """Reads every row and compares it with the manifest.

        Raises:
            StoreBroken: A picture, label or unit is not what was ingested.
        """
        if fingerprint(self.images) != self.manifest.fingerprint:
            raise StoreBroken("The store's pictures are not those that were ingested. Restore it from a copy.")
        if rows_digest(self.labels, self.units) != self.manifest.rows_digest:
            raise StoreBroken("The store's labels or units are not those that were ingested. Restore it from a copy.")


def ingest(
    source: SourcePictures,
    folder: Path,
    *,
    name: str,
    unit: str = "picture",
    public_size: int | None = None,
    min_public_size: int = 50,
) -> StoreManifest:
    """Writes pictures into a new store, or finds them already there.

    The store appears whole or not at all. Rows are in a random order, units are random indices: neither file order
    nor patient identifiers are kept.

    Args:
        source: The pictures.
        folder: The store's own folder, which is created; its parent may hold other stores.
        name: The dataset's public name.
        unit: `picture`, or `patient` where the source names patients.
        public_size: The number of units to declare; by default the true one rounded down to one significant digit,
            at least `min_public_size`.
        min_public_size: The fewest units that are published at all.

    Raises:
        DataError: Too few units, no patients for unit `patient`, a setting out of range, or the folder holds
            something else.
        StoreBroken: The folder holds a damaged store.

    Guarantees:
        With unit `patient`, two pictures have the same unit if and only if they have the same patient.
    """
    try:
        validate.name("name", name)
        validate.choice("unit", unit, UNITS)
        validate.integer("min_public_size", min_public_size, low=1, high=10**9)
        if public_size is not None:
            validate.integer("public_size", public_size, low=min_public_size, high=10**9)
    except PlanError as error:
        raise DataError(error.public) from error
    order = _random_order(len(source.labels))
    labels, units = source.labels[order], _units(source, unit, order)
    num_units = int(units.max()) + 1
    manifest = StoreManifest(
        name=name,
        class_names=source.class_names,
        image_shape=source.image_shape,
        unit=unit,
        public_size=_public_size(num_units, public_size, min_public_size),
        num_pictures=len(labels),
        num_units=num_units,
        fingerprint=fingerprint(source.images),
        rows_digest=rows_digest(labels, units),
    )
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_ingestion_in(folder.parent):
            if folder.exists():
                return _existing(folder, manifest, source, keep_public_size=public_size is None)
            _write_whole(folder, manifest, source.images[order], labels, units)
    except OSError as error:
        raise DataError(
            "The store cannot be written. Check the state folder's rights and the free disk space.",
            private=f"{folder}: {error}",
        ) from error
    return manifest


def open_store(folder: Path) -> PictureStore:
    """Opens a store, checking that its arrays have the types, sizes and ranges that its manifest states.

    Raises:
        StoreBroken: They do not, or a file is missing. `PictureStore.verify` checks every pixel as well.
    """
    try:
        manifest = StoreManifest.from_json((folder / MANIFEST).read_text(encoding="ascii"))
        images, labels, units = (_open_array(folder / f"{array}.npy") for array in ARRAYS)
    except (OSError, ValueError, EOFError) as error:
        raise StoreBroken(
            "A file of the store is missing or damaged. Restore the store from a copy, or ingest the pictures anew.",
            private=f"{folder}: {type(error).__name__}: {error}",
        ) from error
    rows = manifest.num_pictures
    shapes = {"images": (rows, *manifest.image_shape), "labels": (rows,), "units": (rows,)}
    for array, values in (("images", images), ("labels", labels), ("units", units)):
        if values.dtype != ARRAYS[array] or values.shape != shapes[array]:
            raise StoreBroken(
                f"The store's {array} do not have the type and shape that its manifest states. Restore it from a copy.",
                private=f"{folder}: {values.dtype} {values.shape}, expected {shapes[array]}",
            )
    if labels.min() < 0 or labels.max() >= len(manifest.class_names):
        raise StoreBroken("The store's labels are outside its classes. Restore it from a copy.", private=str(folder))
    if not np.array_equal(np.unique(units), np.arange(manifest.num_units)):
        raise StoreBroken("The store's units are not those it counts. Restore it from a copy.", private=str(folder))
    return PictureStore(manifest, images, labels, units)


def fingerprint(images: NDArray[np.uint8]) -> str:
    """Names a set of pictures by its content, whatever their order, labels, file names or dataset name.

    It is the SHA-256 of the sorted SHA-256 of each picture's shape and pixels. A single changed or missing picture
    changes it, so it recognises a copy, not an overlap.

    Args:
        images: uint8, (N, H, W, C).
    """
    shape = np.asarray(images.shape[1:], dtype="<u4").tobytes()
    digests = sorted(hashlib.sha256(shape + np.asarray(image).tobytes()).digest() for image in images)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def rows_digest(labels: NDArray[np.int64], units: NDArray[np.int64]) -> str:
    """SHA-256 of labels and units in their order; both int64, (N,)."""
    return hashlib.sha256(labels.astype("<i8").tobytes() + units.astype("<i8").tobytes()).hexdigest()


def _public_size(num_units: int, declared: int | None, least: int) -> int:
    if num_units < least:
        raise DataError(
            f"A dataset must hold at least {least} units of privacy to be published, this one holds fewer. "
            "Add pictures, or let the hospital lower min_public_size."
        )
    digit = 10 ** (len(str(num_units)) - 1)
    return declared if declared is not None else max(num_units // digit * digit, least)


def _random_order(count: int) -> NDArray[np.int64]:
    """A permutation of 0 to count - 1 by the operating system's cryptographic generator."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64).argsort().astype(np.int64)


def _units(source: SourcePictures, unit: str, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The unit of each row in stored order. Numbered afresh, since the source's own order could tell who is who."""
    if unit == "picture":
        return np.arange(len(order), dtype=np.int64)
    if source.patients is None:
        raise DataError(
            "The privacy unit 'patient' needs a patient for each picture, the source names none. Add the patients "
            "('groups' in an .npz file), or set the unit to 'picture'."
        )
    number = {patient: index for index, patient in enumerate(dict.fromkeys(source.patients))}
    fresh = _random_order(len(number))
    return np.asarray([fresh[number[source.patients[row]]] for row in order], dtype=np.int64)


@contextmanager
def _only_ingestion_in(parent: Path) -> Iterator[None]:
    """Holds a lock that the operating system drops when the process ends, however it ends."""
    lock = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DataError("Another ingestion is writing to this folder. Wait until it has ended.") from error
    finally:
        os.close(lock)


def _existing(
    folder: Path, manifest: StoreManifest, source: SourcePictures, *, keep_public_size: bool
) -> StoreManifest:
    if not (folder / MANIFEST).is_file():
        raise DataError(
            "The store's folder must not exist yet, it does and holds no store. Use a new name, or remove it.",
            private=f"Folder: {folder}",
        )
    store = open_store(folder)
    size = store.manifest.public_size if keep_public_size else manifest.public_size
    expected = replace(manifest, public_size=size, rows_digest=store.manifest.rows_digest)
    same_labels = _labelled(store.images, store.labels) == _labelled(source.images, source.labels)
    if expected != store.manifest or not same_labels:
        raise DataError(
            "The store already holds other pictures, or these with other labels or settings. "
            "Use a new name, or remove the store.",
            private=f"Folder: {folder}",
        )
    return store.manifest


def _labelled(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[tuple[bytes, int]]:
    """Pictures with their labels, in an order of their own."""
    digests = (hashlib.sha256(np.asarray(image).tobytes()).digest() for image in images)
    return sorted(zip(digests, labels.tolist(), strict=True))


def _write_whole(folder: Path, manifest: StoreManifest, *arrays: NDArray[Any]) -> None:
    """Writes aside, then renames: a crash leaves no half store, and what it left aside is removed next time."""
    aside = folder.with_name(f".{folder.name}.partial")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    try:
        for name, array in zip(ARRAYS, arrays, strict=True):
            with _private_file(aside / f"{name}.npy") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with _private_file(aside / MANIFEST) as file:
            file.write(manifest.to_json().encode("ascii"))
        _sync(aside)
        aside.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def _private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only this account can read, safely on disk at the end."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open_array(file: Path) -> NDArray[Any]:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        raise ValueError(f"{file.name} is not a plain array")
    if file.stat().st_size != array.offset + array.nbytes:
        raise ValueError(f"{file.name} is longer than its array")
    return array
