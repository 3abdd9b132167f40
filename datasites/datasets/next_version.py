"""Makes the next version of a dataset from rows of stores, under the ledger of the versions before it. None leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datasites.assets.dataset_version import DatasetVersion, all_versions, version_folder, versions_of
from datasites.assets.store import PictureStore, StoreManifest
from datasites.audit_log.log import AuditLog
from datasites.datasets.lineage import shared_lineage
from datasites.datasets.merging import Part, write_version
from datasites.datasets.withdrawn import who_withdrew, without
from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger
from policies.errors import DataError
from policies.plans.public_size import rounded_up

MADE = "dataset version made"
COMING = ".coming"
"""Where pictures that are being ingested gather, below the stores, until they are part of a version."""


def make_version(
    state: StateFolder, name: str, parts: Sequence[Part], audit: AuditLog, *, public_size: int, least: int
) -> StoreManifest:
    """Writes a dataset's next version, and says so in the audit log. Call it under `only_writer` of the stores.

    Guarantees:
        The version's budget key is that of the dataset's earlier versions, or of whatever else of this datasite its
        pictures or patients are in: it never has a budget of its own that they had not. A dataset of a name that the
        ledger knows has the budget of that name, also where somebody has removed the earlier versions' stores; where
        both would be right, nothing is made. Nobody who withdrew is in it,
        whatever the parts hold. The versions before it stay as they are, also where this is interrupted. Without a
        declared size, what is public of the dataset changes only where it has outgrown the size before: taking patients
        out changes nothing that a researcher sees.

    Args:
        state: The datasite's folder.
        name: The dataset.
        parts: Its rows; the first part's store says what its schema is.
        audit: The datasite's audit log.
        public_size: The size that the hospital declares; 0 leaves the one before, where that suffices.
        least: The fewest units that are published at all.

    Raises:
        DataError: Too few units, parts of different schemas, or what belongs to datasets with different budgets.
    """
    gone = who_withdrew(state)
    parts = [without(gone, part) for part in parts]
    before = versions_of(state.store, name)
    number = before[-1].number + 1 if before else 1
    declared = before[-1].manifest.public_size if before else 0
    start = replace(
        parts[0].store.manifest,
        name=name,
        dataset_version=number,
        lineage=_lineage(state, name, parts, before),
        public_size=public_size or declared or 1,
    )
    units = _enough_units(parts, least)
    if not public_size and units > declared:
        start = replace(start, public_size=rounded_up(units))
    try:
        made = write_version(parts, version_folder(state.store, name, number), start)
    except OSError as error:
        raise DataError(
            "The version cannot be written. Check the state folder's rights and the free disk space; the version "
            "before it is as it was.",
            private=str(error),
        ) from error
    audit.write(MADE, dataset=name, version=number, pictures=made.num_pictures, units=made.num_units)
    return made


def known_budgets(state: StateFolder, name: str) -> set[str]:
    """The budget key under which the ledger last reserved for a dataset of that name; empty where it never did."""
    if not state.ledger.exists():  # nothing was reserved yet; where one is missing, the datasite does not serve
        return set()
    held = [one.fingerprint for one in open_ledger(state).reservations().values() if one.dataset == name]
    return set(held[-1:])


def rows_of(store: PictureStore) -> Part:
    """All rows of a store."""
    return Part(store, np.arange(store.manifest.num_pictures, dtype=np.int64))


def _enough_units(parts: Sequence[Part], least: int) -> int:
    """How many units the rows of all parts have together, if they are enough."""
    units = _count_units(parts)
    if units < least:
        raise DataError(
            f"A dataset must hold at least {least} privacy units to be published, this version would hold fewer. Lower "
            "min_public_size, or stop serving the dataset and end its studies."
        )
    return units


def _lineage(state: StateFolder, name: str, parts: Sequence[Part], before: Sequence[DatasetVersion]) -> str | None:
    """The budget key that a version gets; None for one that begins its own.

    Raises:
        DataError: What is in it belongs to datasets with different budgets.
    """
    keys = {before[-1].manifest.budget_key} if before else known_budgets(state, name)
    known = all_versions(state.store)
    keys |= {key for part in parts if (key := shared_lineage(known, part.store)) is not None}
    if len(keys) > 1:
        raise DataError(
            "Some of these pictures or patients are in another dataset of this datasite, which has a budget of its "
            "own. Ingest them into that one, or leave them out."
        )
    return next(iter(keys), None)


def _count_units(parts: Sequence[Part]) -> int:
    marks: set[bytes] = set()
    unnamed = 0
    for part in parts:
        used = np.unique(part.store.units[part.rows])
        if part.store.manifest.unit == "patient" and part.store.patients is not None:
            marks |= {part.store.patients[unit].tobytes() for unit in used.tolist()}
        else:
            unnamed += len(used)
    return len(marks) + unnamed
