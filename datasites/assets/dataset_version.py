"""The versions of a dataset as they lie beside each other on the hospital's disk. None of them leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.read_rows import in_memory
from datasites.assets.store import MANIFEST, StoreManifest, open_array
from policies.errors import DataError, StoreBroken

_BEFORE_NUMBER = "@"  # no dataset's name holds it


@dataclass(frozen=True)
class DatasetVersion:
    """One version of a dataset.

    Attributes:
        manifest: The version's manifest.
        folder: Its store's folder.
        whole: Whether its pictures are kept; of a version that was pruned, only what tells whose they were is.
    """

    manifest: StoreManifest
    folder: Path
    whole: bool

    @property
    def number(self) -> int:
        """Which version it is, from 1."""
        return self.manifest.dataset_version

    def marks(self, which: str) -> NDArray[np.uint8] | None:
        """The version's pseudonyms of `sources` or of `patients`, uint8, (N, 32) or (U, 32); None where it has none.

        Raises:
            StoreBroken: They cannot be read.
            StorageUnavailable: The disk does not let them be read now.
        """
        file = self.folder / f"{which}.npy"
        if not file.exists():
            return None
        try:
            marks: NDArray[Any] = in_memory(open_array(file))
        except (OSError, ValueError, EOFError) as error:
            raise StoreBroken(
                "A file of the store is missing or damaged. Restore the store from a copy.", private=f"{file}: {error}"
            ) from error
        return marks


def version_folder(stores: Path, name: str, number: int) -> Path:
    """Where a version of a dataset lies; the first one has the dataset's own name."""
    return stores / (name if number == 1 else f"{name}{_BEFORE_NUMBER}{number}")


def versions_of(stores: Path, name: str) -> tuple[DatasetVersion, ...]:
    """All versions of a dataset, oldest first, those that were pruned included.

    Raises:
        StoreBroken: A manifest cannot be read, or lies in another version's place.
    """
    folders = [stores / name, *stores.glob(f"{name}{_BEFORE_NUMBER}*")]
    found = [read_version(folder) for folder in folders if (folder / MANIFEST).is_file()]
    for version in found:
        if version_folder(stores, name, version.number) != version.folder:
            raise StoreBroken(
                "A store lies where another version of its dataset belongs. Restore the store from a copy.",
                private=str(version.folder),
            )
    return tuple(sorted(found, key=lambda version: version.number))


def newest_version(stores: Path, name: str) -> DatasetVersion:
    """The version that new requests get.

    Raises:
        DataError: No pictures were ingested yet.
        StoreBroken: Its pictures are missing.
    """
    found = versions_of(stores, name)
    if not found:
        raise DataError(f"The dataset '{name}' has no pictures yet. Run 'python -m datasites ingest' first.")
    if not found[-1].whole:
        raise StoreBroken(
            "A file of the store is missing or damaged. Restore the store from a copy.", private=str(found[-1].folder)
        )
    return found[-1]


def all_versions(stores: Path) -> tuple[DatasetVersion, ...]:
    """Every version of every dataset of the datasite."""
    return tuple(
        read_version(file.parent)
        for file in sorted(stores.glob(f"*/{MANIFEST}"))
        if not file.parent.name.startswith(".")
    )


def read_version(folder: Path) -> DatasetVersion:
    """A version by its folder.

    Raises:
        StoreBroken: It has no manifest that reads.
    """
    try:
        manifest = StoreManifest.from_json((folder / MANIFEST).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise StoreBroken(
            "A store's manifest cannot be read. Restore the store from a copy.", private=f"{folder}: {error}"
        ) from error
    return DatasetVersion(manifest, folder, (folder / "images.npy").exists())


def as_set(marks: NDArray[np.uint8]) -> frozenset[bytes]:
    """Pseudonyms, (N, 32), as values that can be looked up."""
    return frozenset(np.ascontiguousarray(marks).view("V32").ravel().tolist())
