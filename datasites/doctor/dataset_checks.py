"""Checks of a datasite's pictures: every version's store, what is published of them, who withdrew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from datasites.assets.dataset_version import DatasetVersion, versions_of
from datasites.assets.features import kept_features, open_features
from datasites.assets.store import open_store
from datasites.assets.withdrawn import shown_of
from datasites.datasets.seen_by import patients_in
from datasites.datasets.withdrawn import who_withdrew
from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.pysyft_database.rows import live_rows
from datasites.state.kept_books import open_ledger


def dataset(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether each version's store is what was ingested and what is published is the newest one's."""
    versions = versions_of(examined.state.store, examined.config.dataset.name)
    if not versions:
        yield Finding("dataset", WARNING, "no pictures ingested yet", "python -m datasites ingest")
        return
    for version in versions:
        yield from _store(version)
    yield from _versions_of_studies(examined, versions)
    yield from _published(examined, versions)


def _store(version: DatasetVersion) -> Iterator[Finding]:
    name = version.manifest.name
    told = f"'{name}', version {version.number}," if version.number > 1 else f"'{name}'"
    if not version.whole:
        yield Finding("dataset", OK, f"{told} was pruned: what tells whose pictures it had is there")
        return
    store = open_store(version.folder)
    store.verify()
    yield Finding("dataset", OK, f"{told} is what was ingested, every picture of it")
    if store.manifest.num_units > store.manifest.public_size:
        text = "holds more privacy units than it declares: how long a private step takes can tell how many it drew"
        yield Finding("public size", WARNING, text, "Ingest the pictures anew, with public_size = 0 or large enough.")
    for spec in kept_features(version.folder):
        open_features(version.folder, spec, store.manifest)
        yield Finding("features", OK, f"{spec.key} are what was computed, every number of them")


def _versions_of_studies(examined: ExaminedDatasite, versions: tuple[DatasetVersion, ...]) -> Iterator[Finding]:
    """Whether the version of every study that may go on is there, as after a restore from an older backup."""
    kept = {version.number for version in versions if version.whole}
    for held in open_ledger(examined.state).reservations().values():
        if held.released is None and held.dataset == versions[0].manifest.name and held.dataset_version not in kept:
            text = f"request {held.request_id[:8]} was approved on version {held.dataset_version}, which is not there"
            yield Finding("dataset", PROBLEM, text, "Restore store/ from a later backup, or end the request.")


def _published(examined: ExaminedDatasite, versions: tuple[DatasetVersion, ...]) -> Iterator[Finding]:
    manifest = versions[-1].manifest
    if examined.config.dataset.name != manifest.name:
        text = f"the settings call it '{examined.config.dataset.name}', its manifest '{manifest.name}'"
        yield Finding("published", PROBLEM, text, "Put the old name back into config.toml.")
        return
    schema = _published_schema(examined, manifest.name)
    if schema is None:
        yield Finding("published", WARNING, "not published with its mock yet", "It is at the first 'serve'.")
    elif schema == manifest.schema():
        yield Finding("published", OK, f"'{manifest.name}', with its mock, as the store's manifest says")
    elif schema in [version.manifest.schema() for version in versions]:
        text = "researchers are shown the schema of an earlier version"
        yield Finding("published", WARNING, text, "The newest one is published when the datasite starts again.")
    else:
        text = "researchers are shown another schema than the store's"
        yield Finding("published", PROBLEM, text, "Restore store/ and syft/ from one backup.")


def withdrawals(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether everybody who withdrew by the audit log is out of the newest version and kept out of later ingests."""
    gone = who_withdrew(examined.state)
    versions = versions_of(examined.state.store, examined.config.dataset.name)
    left = sum(map(gone.has, patients_in(versions[-1]))) if versions else 0
    held = {shown_of(mark) for version in versions for mark in patients_in(version)}
    if left or gone.shown & held:
        text = f"{left} who withdrew are in the newest version, {len(gone.shown & held)} are not on its list any more"
        advice = "A restore or a crash came between. The next start of the datasite takes them out; start it again."
        yield Finding("withdrawals", PROBLEM, text, advice)
    else:
        count = len(gone.patients) + len(gone.shown)
        yield Finding("withdrawals", OK, f"{count} patients withdrew; none is in the newest version")


def _published_schema(examined: ExaminedDatasite, name: str) -> Any:
    """The schema that PySyft's database shows for a dataset with an asset and a mock; read without PySyft."""
    for described in live_rows(examined.state, "Dataset"):
        assets = described["asset_list"]
        if described["name"] == name and assets and not any(asset["mock_is_real"] for asset in assets):
            return json.loads(described["description"]["text"])
    return None
