"""A published dataset, as the datasite itself knows it. Of it, only what the manifest calls public may leave."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from datasites.assets.dataset_version import DatasetVersion
from datasites.assets.store import StoreManifest
from policies.errors import StoreBroken


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset as the datasite knows it, at one version.

    Attributes:
        manifest: The manifest of the version's store.
        store: The store's folder.
        asset_uid: PySyft's identifier of the private asset, which all versions share.
        versions: All versions whose pictures are kept, by number.
    """

    manifest: StoreManifest
    store: Path
    asset_uid: str
    versions: tuple[DatasetVersion, ...] = field(default=(), repr=False)

    def at(self, number: int | None) -> Self:
        """The dataset at another of its versions; as it is without a number.

        Raises:
            StoreBroken: That version's pictures are not kept any more.
        """
        if number is None or number == self.manifest.dataset_version:
            return self
        for version in self.versions:
            if version.number == number:
                return replace(self, manifest=version.manifest, store=version.folder)
        raise StoreBroken(
            "The hospital does not keep the pictures any more that this request was approved on. Submit it anew.",
            private=f"version {number} of '{self.manifest.name}'",
        )
