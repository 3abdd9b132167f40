"""Features beside a store: computed once, whole or not at all, private, refused when they are not what they were."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from support.array_store import SourcePictures, ingest

from datasites.assets.features import ARRAY, FOLDER, RECORD, check_there, compute_features, kept_features, open_features
from datasites.assets.store import open_store
from datasites.training.models.public.backbone import features_of, load_backbone
from policies.errors import ConfigError, LimitExceeded, StoreBroken
from policies.plans.features import FeatureSpec
from policies.plans.training import ModelSpec, TrainingPlan


@pytest.fixture
def store(tmp_path: Path) -> Path:
    images = np.random.default_rng(2).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    source = SourcePictures(images, np.arange(60, dtype=np.int64) % 2, ("a", "b"), None)
    ingest(source, tmp_path / "store" / "cells", name="cells")
    return tmp_path / "store" / "cells"


@pytest.fixture
def kept(store: Path, backbone: tuple[Path, FeatureSpec]) -> Path:
    return compute_features(store, backbone[1], backbone[0])


def plan(spec: FeatureSpec) -> TrainingPlan:
    return TrainingPlan("s", "cells", ModelSpec("features", (8, 8, 1), 2, spec.options), 1, 1, 0.1, 0.1)


def test_each_row_has_its_own_pictures_features(store: Path, kept: Path, backbone: tuple[Path, FeatureSpec]) -> None:
    opened = open_store(store)
    found = open_features(store, backbone[1], opened.manifest)
    assert isinstance(found, np.memmap) and not found.flags.writeable and found.shape == (60, 512)
    network = load_backbone(backbone[1], safetensors.torch.load_file(backbone[0]))
    for row in (0, 17, 59):
        ((_, alone),) = features_of(network, backbone[1], opened.images[row : row + 1])
        assert np.array_equal(found[row], alone[0])


def test_only_the_datasites_account_can_read_them(kept: Path) -> None:
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (kept.parent, kept, *kept.iterdir())}
    assert modes == {FOLDER: "0o700", kept.name: "0o700", ARRAY: "0o600", RECORD: "0o600"}


def test_they_are_computed_once(store: Path, kept: Path, backbone: tuple[Path, FeatureSpec]) -> None:
    before = (kept / ARRAY).stat()
    assert compute_features(store, backbone[1], Path("no weights are read again")) == kept
    assert (kept / ARRAY).stat().st_mtime_ns == before.st_mtime_ns


def test_weights_of_another_digest_are_refused_and_nothing_is_kept(
    store: Path, backbone: tuple[Path, FeatureSpec]
) -> None:
    with pytest.raises(ConfigError, match="SHA-256"):
        compute_features(store, replace(backbone[1], weights_sha256="0" * 64), backbone[0])
    assert not (store / FOLDER).exists()


def test_the_store_itself_stays_as_it_was(store: Path, kept: Path) -> None:
    open_store(store).verify()


@pytest.mark.parametrize("damage", ["value", "cut", "array", "record", "digest", "other rows", "other pictures"])
def test_features_that_are_not_what_they_were_are_refused(
    store: Path, kept: Path, backbone: tuple[Path, FeatureSpec], damage: str
) -> None:
    manifest = open_store(store).manifest
    array = np.load(kept / ARRAY)
    if damage == "value":
        array[3, 4] += 1
        np.save(kept / ARRAY, array)
    elif damage == "cut":
        np.save(kept / ARRAY, array[:-1])
    elif damage == "array":
        (kept / ARRAY).unlink()
    elif damage == "record":
        (kept / RECORD).write_text("[]")
    elif damage == "digest":
        record = json.loads((kept / RECORD).read_text())
        (kept / RECORD).write_text(json.dumps({**record, "sha256": "0" * 64}))
    elif damage == "other rows":
        manifest = replace(manifest, rows_digest="0" * 64)
    else:
        manifest = replace(manifest, fingerprint="0" * 64)
    with pytest.raises(StoreBroken, match="missing or damaged"):
        open_features(store, backbone[1], manifest)


def test_features_under_another_name_are_refused(store: Path, kept: Path, backbone: tuple[Path, FeatureSpec]) -> None:
    other = replace(backbone[1], normalisation="half")
    shutil.copytree(kept, kept.parent / other.key)
    with pytest.raises(StoreBroken):
        open_features(store, other, open_store(store).manifest)


def test_a_plan_for_features_that_are_not_there_is_refused_with_those_that_are(
    store: Path, kept: Path, backbone: tuple[Path, FeatureSpec]
) -> None:
    check_there(plan(backbone[1]), store)
    with pytest.raises(LimitExceeded, match=f"It has {backbone[1].key}"):
        check_there(plan(replace(backbone[1], input_size=64)), store)


def test_what_is_kept_is_listed_and_a_record_that_does_not_read_is_told(
    store: Path, kept: Path, backbone: tuple[Path, FeatureSpec]
) -> None:
    assert kept_features(store) == (backbone[1],)
    (kept / RECORD).write_text('{"features": {"backbone": "none"}}')
    with pytest.raises(StoreBroken):
        kept_features(store)


def test_without_features_none_are_listed(store: Path) -> None:
    assert kept_features(store) == ()


def test_a_plan_for_pictures_needs_no_features(store: Path) -> None:
    check_there(TrainingPlan("s", "cells", ModelSpec("linear", (8, 8, 1), 2), 1, 1, 0.1, 0.1), store)
