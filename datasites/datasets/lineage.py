"""The budget that new pictures belong to: that of whatever dataset shares a picture or a patient. It stays inside."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from datasites.assets.dataset_version import DatasetVersion, as_set
from datasites.assets.store import PictureStore
from policies.errors import DataError


def shared_lineage(known: Iterable[DatasetVersion], store: PictureStore) -> str | None:
    """The budget key of the datasets that a store shares anything with; None where it shares nothing.

    Guarantees:
        A store that holds the pictures of a known version, a file that one was made from, or a patient of one, never
        gets a budget of its own, whatever its name, form or settings are.

    Args:
        known: Every version of every dataset that the datasite has had, the pruned ones included.
        store: The new pictures.

    Raises:
        DataError: It shares something with datasets that have different budgets.
    """
    keys = {version.manifest.budget_key for version in known if _shares(version, store)}
    if len(keys) > 1:
        raise DataError(
            "These pictures or patients are in two datasets of this datasite, each with a budget of its own. Ingest "
            "those of the one and those of the other apart."
        )
    return keys.pop() if keys else None


def _shares(version: DatasetVersion, store: PictureStore) -> bool:
    if version.manifest.fingerprint == store.manifest.fingerprint:
        return True
    return any(
        _overlap(version.marks(which), getattr(store, which))
        for which in ("sources", "patients")
        if version.manifest.pseudonyms == store.manifest.pseudonyms
    )


def _overlap(one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None) -> bool:
    return one is not None and other is not None and not as_set(one).isdisjoint(as_set(other))
