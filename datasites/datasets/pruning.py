"""Removes the pictures of versions that nobody needs any more. What tells whose they were stays, in the hospital."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from datasites.assets.dataset_version import DatasetVersion, versions_of
from datasites.assets.features import FOLDER as FEATURES
from datasites.assets.store import IMAGES, MANIFEST
from datasites.datasets.seen_by import versions_under_way
from datasites.files.private_folder import only_writer
from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_audit, open_ledger
from datasites.state.lock import refuse_running

PRUNED = "dataset version pruned"
KEPT = (MANIFEST, "sources.npy", "patients.npy")


@dataclass(frozen=True)
class Pruned:
    """What pruning a dataset did.

    Attributes:
        versions: The versions whose pictures were removed.
        bytes_freed: How many bytes they took.
        needed: The earlier versions that stay, since a study under way reads them.
    """

    versions: tuple[int, ...]
    bytes_freed: int
    needed: tuple[int, ...]


def prune(state: StateFolder, name: str) -> Pruned:
    """Removes the pictures, labels, words and features of versions that no study under way and no new request reads.

    Guarantees:
        The newest version, and each that an approved request which has not ended was approved on, stay as they are.
        Of the others, manifest and pseudonyms stay: their budget is still known, and so is who was in them.

    Raises:
        ConfigError: The datasite is running; it may be about to approve a request on a version.
        LedgerBroken: The ledger does not verify: nobody knows what is under way.
    """
    refuse_running(state)
    with only_writer(state.store):
        versions = versions_of(state.store, name)
        under_way = versions_under_way(open_ledger(state).reservations().values(), name)
        audit = open_audit(state)
        done, freed = [], 0
        for version in versions[:-1]:
            if version.number not in under_way and (size := _remove(version)):
                audit.write(PRUNED, dataset=name, version=version.number)
                done.append(version.number)
                freed += size
        state.dataset_page.unlink(missing_ok=True)
    needed = tuple(version.number for version in versions[:-1] if version.number in under_way)
    return Pruned(tuple(done), freed, needed)


def _remove(version: DatasetVersion) -> int:
    """Removes what is not kept, the pictures first: without them the version counts as pruned; returns the bytes."""
    files = [path for path in version.folder.iterdir() if path.is_file() and path.name not in KEPT]
    files.sort(key=lambda path: path.name != f"{IMAGES}.npy")
    features = version.folder / FEATURES
    size = sum(path.stat().st_size for path in (*files, *features.rglob("*")) if path.is_file())
    for path in files:
        path.unlink()
    shutil.rmtree(features, ignore_errors=True)
    return size
