"""Publishes a picture store as a PySyft dataset: the private asset is a pointer, its mock twin is made from the schema.

No picture and no report enters PySyft: the private part names the store, and only the hospital's runner opens it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import syft as sy

from datasites.assets.dataset_version import newest_version, versions_of
from datasites.assets.mock import make_mock
from datasites.assets.published import PublishedDataset
from datasites.assets.store import StoreManifest, open_store
from datasites.pysyft.guard import by_the_hospital

ASSET = "pictures"


def publish_store(server: Any, stores: Path, name: str) -> dict[str, PublishedDataset]:
    """Publishes a dataset's newest version unless it already is; returns it by its name, with the earlier ones."""
    newest = newest_version(stores, name)
    manifest = open_store(newest.folder).manifest
    kept = tuple(version for version in versions_of(stores, name) if version.whole)
    return {manifest.name: replace(publish(server, manifest, newest.folder), versions=kept)}


def publish(server: Any, manifest: StoreManifest, store: Path) -> PublishedDataset:
    """Publishes the dataset unless it already is; one whose public size has grown since is described anew.

    All versions share the asset and its mock: what a researcher sees of a dataset changes with its schema alone.

    Args:
        server: The PySyft server, in this process.
        manifest: The store's manifest.
        store: The store's folder.
    """
    published = _published(server, manifest.name)
    description = json.dumps(manifest.schema(), indent=2)
    if published is None:
        mock = make_mock(manifest.public)
        dataset = sy.Dataset(name=manifest.name, description=description)
        dataset.add_asset(
            sy.Asset(
                name=ASSET,
                data={"kind": "private", "dataset": manifest.name, "fingerprint": manifest.budget_key},
                mock={
                    "kind": "mock",
                    "images": mock.images,
                    "labels": mock.labels,
                    **({} if mock.reports is None else {"reports": json.dumps(mock.reports)}),
                },
            )
        )
        with by_the_hospital():
            server.root_client.upload_dataset(dataset)
        published = _published(server, manifest.name)
    if published is None:
        raise RuntimeError("PySyft did not keep the published dataset.")
    if published.description.text != description:
        published.description.text = description
        server.services.dataset.stash.update(server.verify_key, published).unwrap()
    return PublishedDataset(manifest, store, str(published.asset_list[0].action_id))


def _published(server: Any, name: str) -> Any | None:
    """PySyft's dataset of that name."""
    found = server.services.dataset.stash.get_all(server.verify_key).unwrap()
    return next((dataset for dataset in found if dataset.name == name), None)
