"""A published dataset, as the datasite itself knows it. Of it, only what the manifest calls public may leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasites.assets.store import StoreManifest


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset as the datasite knows it.

    Attributes:
        manifest: The store's manifest.
        store: The store's folder.
        asset_uid: PySyft's identifier of the private asset.
    """

    manifest: StoreManifest
    store: Path
    asset_uid: str
