"""Features of a store's pictures, computed once by a frozen public backbone or by scattering, and kept beside them.

They are as private as the pictures: nothing of them crosses the boundary but what training with noise releases. The
hospital's own people compute them; a run reads them and can write nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from datasites.assets.manifest import StoreManifest
from datasites.assets.read_rows import ReadRows, blocks
from datasites.assets.store import open_array, open_store
from datasites.files.private_folder import only_writer, write_folder
from policies.errors import ConfigError, DataError, LimitExceeded, PlanError, StoreBroken
from policies.plans.features import KeptSpec, ScatteringSpec, kept_spec
from policies.plans.kinds import Plan
from policies.plans.model_options import check_features, scattering_of
from policies.plans.plan_json import canonical_json
from policies.plans.releases import StatisticsPlan

FEATURES_WANTED = (
    "The version before has features that version {version} has not: {features}. Compute them for it with 'python -m "
    "datasites features' before the datasite is started again."
)
FOLDER = "features"
ARRAY, RECORD = "features.npy", "features.json"
_BROKEN = "The dataset's features are missing or damaged. Remove their folder, and compute them again."


@dataclass(frozen=True)
class _Record:
    """What stands beside features: which they are, of which rows, and what their bytes are."""

    features: dict
    fingerprint: str
    rows_digest: str
    sha256: str


def compute_features(store_folder: Path, spec: KeptSpec, weights: Path | None = None) -> Path:
    """Computes a store's features, or finds them there; returns their folder.

    Guarantees:
        They appear whole or not at all, in files that only the datasite's account can read. Each picture's features
        follow from its own bytes and public numbers alone: see
        `datasites.training.models.public.backbone.features_of` and
        `datasites.training.models.scattering_linear.features_of`.

    Args:
        store_folder: The store's folder.
        spec: Which features.
        weights: File with the backbone's public weights, of the SHA-256 that `spec` names; None for scattering.

    Raises:
        ConfigError: The file is missing, cannot be read or has another digest.
        InputRefused: The weights are not the backbone's, or the pictures have other channels.
        PlanError: The transform does not take pictures of this size.
        StoreBroken: The store, or features that are there, are damaged.
        DataError: The features cannot be written.
    """
    store = open_store(store_folder)
    folder = _folder(store_folder, spec)
    if folder.exists():
        open_features(store_folder, spec, store.manifest)
        return folder
    found = np.empty((len(store.images), spec.width), dtype=np.float32)
    for rows, values in _computed(spec, weights, cast("np.ndarray", ReadRows(store.images))):
        found[rows] = values
    _write(folder, spec, store.manifest, found)
    return folder


def _computed(
    spec: KeptSpec, weights: Path | None, images: np.ndarray
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    if isinstance(spec, ScatteringSpec):
        from datasites.training.models import scattering_linear

        return scattering_linear.features_of(spec, images)
    from datasites.training.models.public import backbone, public_weights

    if weights is None:
        raise ConfigError(f"Features of {spec.backbone!r} need its public weights: --weights and --weights_sha256.")
    network = backbone.load_backbone(spec, public_weights.read_public_weights(weights, sha256=spec.weights_sha256))
    return backbone.features_of(network, spec, images)


def draw_features(store_folder: Path, spec: KeptSpec, *, seed: int = 0) -> Path:
    """Draws features at random for a store of pictures that show nobody; returns their folder."""
    manifest = open_store(store_folder).manifest
    drawn = np.random.default_rng(seed).standard_normal((manifest.num_pictures, spec.width), dtype=np.float32)
    folder = _folder(store_folder, spec)
    _write(folder, spec, manifest, drawn)
    return folder


def _write(folder: Path, spec: KeptSpec, manifest: StoreManifest, found: NDArray[np.float32]) -> None:
    record = _Record(asdict(spec), manifest.fingerprint, manifest.rows_digest, _digest(found))
    files: dict[str, Callable[[BinaryIO], object]] = {
        ARRAY: partial(np.lib.format.write_array, array=found, allow_pickle=False),
        RECORD: lambda file: file.write(canonical_json(asdict(record)).encode("ascii")),
    }
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        with only_writer(folder.parent):
            write_folder(folder, files)
    except OSError as error:
        raise DataError(
            "The features cannot be written. Check the state folder's rights and the free disk space.",
            private=f"{folder}: {error}",
        ) from error


def open_features(store_folder: Path, spec: KeptSpec, manifest: StoreManifest) -> NDArray[np.float32]:
    """Opens a store's features, float32, (N, width), memory-mapped, read-only, after reading all of them once.

    Raises:
        StoreBroken: They are missing, damaged, or of other pictures.
    """
    folder = _folder(store_folder, spec)
    try:
        record = _Record(**json.loads((folder / RECORD).read_text(encoding="ascii")))
        array = open_array(folder / ARRAY)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise StoreBroken(_BROKEN, private=f"{folder}: {type(error).__name__}: {error}") from error
    if array.dtype != np.float32 or array.shape != (manifest.num_pictures, spec.width):
        raise StoreBroken(_BROKEN, private=f"{folder}: {array.dtype} {array.shape}")
    expected = _Record(asdict(spec), manifest.fingerprint, manifest.rows_digest, _digest(array))
    if record != expected:
        raise StoreBroken(_BROKEN, private=f"{folder}: {record}, expected {expected}")
    return array


def kept_features(store_folder: Path) -> tuple[KeptSpec, ...]:
    """Which features stand beside a store, by what their records say; `open_features` tells whether they are sound.

    Raises:
        StoreBroken: A record cannot be read.
    """
    records = sorted((store_folder / FOLDER).glob(f"[!.]*/{RECORD}"))
    try:
        return tuple(kept_spec(json.loads(path.read_text(encoding="ascii"))["features"]) for path in records)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PlanError) as error:
        raise StoreBroken(_BROKEN, private=f"{store_folder / FOLDER}: {error}") from error


def left_behind(older: Path, newer: Path) -> tuple[str, ...]:
    """Names the features that one version's store keeps and a later one's does not: each version has its own."""
    return tuple(sorted(_kept_in(older) - _kept_in(newer)))


def check_there(plan: Plan, store_folder: Path) -> None:
    """Refuses a plan whose model reads features that the hospital has not computed.

    Raises:
        PlanError: No such features can be.
        LimitExceeded: They are not there; which ones are is public, being the hospital's choice and no picture's.
    """
    spec = check_features(plan)
    if spec is None or _stand(store_folder, spec):
        return
    there = sorted(_kept_in(store_folder))
    raise LimitExceeded(
        f"The hospital has no features {spec.key} of this dataset: {spec.told}. It has "
        f"{', '.join(there) or 'none'}. Ask the hospital to compute them with 'python -m datasites features'."
    )


def reading_kept(plan: Plan, store_folder: Path) -> Plan:
    """The plan as a run takes it: on the scattering features that stand beside the store, where its model reads such.

    Guarantees:
        Shapes and names of all that comes in and leaves, privacy and every other setting are the plan's. Only what
        stands there decides, which is the hospital's choice and no picture's.

    Args:
        plan: As it was approved.
        store_folder: Of the dataset's version that it runs on.
    """
    spec = scattering_of(plan)
    if spec is None or isinstance(plan, StatisticsPlan) or not _stand(store_folder, spec):
        return plan
    return replace(plan, model=spec.head(plan.model))


def _kept_in(store_folder: Path) -> set[str]:
    return {path.parent.name for path in (store_folder / FOLDER).glob(f"[!.]*/{RECORD}")}


def _stand(store_folder: Path, spec: KeptSpec) -> bool:
    return (_folder(store_folder, spec) / RECORD).is_file()


def _folder(store_folder: Path, spec: KeptSpec) -> Path:
    return store_folder / FOLDER / spec.key


def _digest(array: NDArray[np.float32]) -> str:
    digest = hashlib.sha256()
    for rows in blocks(array):
        digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()
