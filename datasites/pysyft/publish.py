"""Publishes a picture store as a PySyft dataset: the private asset is a pointer, its mock twin is made from the schema.

No picture and no report enters PySyft: the private part names the store, and only the hospital's runner opens it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import syft as sy

from datasites.assets.mock import make_mock
from datasites.assets.published import PublishedDataset
from datasites.assets.store import StoreManifest, open_store
from datasites.pysyft.guard import by_the_hospital

ASSET = "pictures"


def publish_store(server: Any, store: Path) -> dict[str, PublishedDataset]:
    """Publishes the dataset of a store unless it already is; returns it by its name."""
    manifest = open_store(store).manifest
    return {manifest.name: publish(server, manifest, store)}


def publish(server: Any, manifest: StoreManifest, store: Path) -> PublishedDataset:
    """Publishes the dataset unless it already is.

    Args:
        server: The PySyft server, in this process.
        manifest: The store's manifest.
        store: The store's folder.
    """
    asset_uid = _published(server, manifest.name)
    if asset_uid is None:
        schema = manifest.schema()
        mock = make_mock(manifest.public)
        dataset = sy.Dataset(name=manifest.name, description=json.dumps(schema, indent=2))
        dataset.add_asset(
            sy.Asset(
                name=ASSET,
                data={"kind": "private", "dataset": manifest.name, "fingerprint": manifest.fingerprint},
                mock={
                    "kind": "mock",
                    "schema": json.dumps(schema),
                    "images": mock.images,
                    "labels": mock.labels,
                    **({} if mock.reports is None else {"reports": json.dumps(mock.reports)}),
                },
            )
        )
        with by_the_hospital():
            server.root_client.upload_dataset(dataset)
        asset_uid = _published(server, manifest.name)
    if asset_uid is None:
        raise RuntimeError("PySyft did not keep the published dataset.")
    return PublishedDataset(manifest, store, asset_uid)


def _published(server: Any, name: str) -> str | None:
    for dataset in server.services.dataset.stash.get_all(server.verify_key).unwrap():
        if dataset.name == name:
            return str(dataset.asset_list[0].action_id)
    return None
