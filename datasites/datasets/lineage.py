"""The budget that new pictures belong to: that of whatever dataset shares a picture or a patient. It stays inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datasites.assets.dataset_version import DatasetVersion, as_set
from datasites.assets.fingerprint import picture_digest
from datasites.assets.read_rows import blocks
from datasites.assets.store import PictureStore, open_store
from policies.errors import ConfigError, DataError


def shared_lineage(known: Iterable[DatasetVersion], store: PictureStore) -> str | None:
    """The budget key of the datasets that a store shares anything with; None where it shares nothing.

    Guarantees:
        A store that holds a picture of a known version, pixel by pixel, a file that one was made from, or a patient of
        one, never gets a budget of its own, whatever its name, form or settings are. Of versions that were pruned, and
        of those from before pseudonyms, only what is left of them is compared; pictures of one value are none.

    Args:
        known: Every version of every dataset that the datasite has had, the pruned ones included.
        store: The new pictures.

    Raises:
        DataError: It shares something with datasets that have different budgets.
        ConfigError: A version's pseudonyms are under another secret: nobody can tell what it shares.
    """
    keys: set[str] = set()
    new = _New(store)
    for version in known:
        if version.manifest.pseudonyms not in ("", store.manifest.pseudonyms):
            raise ConfigError(
                "Pseudonyms of a dataset of this datasite were made with another secret than its own, so nobody can "
                "tell whose pictures are in it. Restore the folder identity/ from the backup that the dataset is from."
            )
        if version.manifest.budget_key not in keys and new.shares(version):
            keys.add(version.manifest.budget_key)
    if len(keys) > 1:
        raise DataError(
            "These pictures or patients are in two datasets of this datasite, each with a budget of its own. Ingest "
            "those of the one and those of the other apart."
        )
    return keys.pop() if keys else None


class _New:
    """What may be shared of a store."""

    def __init__(self, store: PictureStore) -> None:
        self._store = store

    def shares(self, version: DatasetVersion) -> bool:
        """Whether a version has anything of it; pixels are looked at last, since that reads all of them."""
        store = self._store
        if version.manifest.fingerprint == store.manifest.fingerprint:
            return True
        if any(_overlap(version.marks(which), getattr(store, which)) for which in ("sources", "patients")):
            return True
        if not version.whole:
            return False
        images = open_store(version.folder).images
        alike = images.shape[1:] == store.images.shape[1:] and images.dtype == store.images.dtype
        return alike and any(digest in self._pictures for digest in _digests(images))

    @cached_property
    def _pictures(self) -> frozenset[bytes]:
        return frozenset(_digests(self._store.images))


def _digests(images: NDArray[np.uint8] | NDArray[np.uint16]) -> Iterator[bytes]:
    """The digest of each picture, (N, H, W, C), that has more than one value."""
    return (picture_digest(image) for block in blocks(images) for image in block if image.min() < image.max())


def _overlap(one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None) -> bool:
    return one is not None and other is not None and not as_set(one).isdisjoint(as_set(other))
