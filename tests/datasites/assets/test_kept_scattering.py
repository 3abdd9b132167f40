"""Scattering features beside a store: runs read them in place of the pictures, and give what they gave without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.array_store import SourcePictures, ingest

from datasites.assets.features import (
    ARRAY,
    check_there,
    compute_features,
    draw_features,
    kept_features,
    open_features,
    reading_kept,
)
from datasites.assets.store import open_store
from datasites.training.jobs import run_round
from datasites.training.models import build_model, initial_weights, trainable_shapes
from datasites.training.models.public.reference_pictures import reference_pictures
from datasites.training.models.scattering_linear import features_of
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.releases.private_gram import sum_grams
from policies.errors import ConfigError, InputRefused, PlanError, StoreBroken
from policies.plans.features import BACKBONES, SCATTERING_VERSION, FeatureSpec, ScatteringSpec, width_of
from policies.plans.kinds import parse
from policies.plans.model_options import check_features, check_options, scattering_of
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

MODEL = ModelSpec("scattering_linear", (16, 16, 3), 2)
SPEC = ScatteringSpec(32, 3)
CPU = RunSpec(device="cpu")
TRAINING = TrainingPlan("s", "cells", MODEL, 1, 2, 0.5, 0.5, run=CPU)
PRIVATE = replace(TRAINING, sample_rate=1.0, privacy=PrivacySpec(1e-3, 1.0, 1e-5))
GRAM = GramPlan("s", "cells", MODEL, ReleaseSpec(2.0, 1e-5), run=CPU)
EVALUATION = EvaluationPlan("s", "cells", MODEL, 1, ReleaseSpec(1e-3, 1e-5), run=CPU)
STATISTICS = StatisticsPlan("s", "cells", (16, 16, 3), 2, ReleaseSpec(2.0, 1e-5))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    labels = np.arange(70, dtype=np.int64) % 2
    images = generator.normal(90 + 60 * labels[:, None, None, None], 30, (70, 16, 16, 3)).clip(0, 255).astype(np.uint8)
    ingest(SourcePictures(images, labels, ("a", "b"), None), tmp_path / "store" / "cells", name="cells")
    return tmp_path / "store" / "cells"


@pytest.fixture
def kept(store: Path) -> Path:
    return compute_features(store, SPEC)


def pictures_of(folder: Path, spec: ScatteringSpec | None) -> LabelledPictures:
    store = open_store(folder)
    features = None if spec is None else open_features(folder, spec, store.manifest)
    return LabelledPictures(store.images, store.labels, store.units, store.manifest.public_size, features=features)


# --- what is kept ---


def test_each_row_is_what_the_model_itself_computes_of_the_picture(store: Path, kept: Path) -> None:
    opened = open_store(store)
    found = open_features(store, SPEC, opened.manifest)
    assert found.shape == (70, 705) and not found.flags.writeable
    assert kept_features(store) == (SPEC,)
    own = build_model(MODEL).get_submodule("features")(to_tensor(opened.images)).numpy()
    assert found == pytest.approx(own, abs=1e-4)


def test_a_pictures_row_hangs_on_no_other_picture(store: Path, kept: Path) -> None:
    opened = open_store(store)
    found = open_features(store, SPEC, opened.manifest)
    for row in (0, 33, 69):
        ((_, alone),) = features_of(SPEC, opened.images[row : row + 1])
        assert np.array_equal(found[row], alone[0])


def test_pictures_of_other_channels_or_too_small_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="1 channels were asked for, pictures have 3"):
        compute_features(store, replace(SPEC, channels=1))
    small = np.zeros((4, 8, 8, 1), dtype=np.uint8)
    with pytest.raises(PlanError, match="16"):
        list(features_of(ScatteringSpec(32, 1), small))
    assert kept_features(store) == ()


def test_a_networks_features_still_need_its_weights(store: Path) -> None:
    with pytest.raises(ConfigError, match="--weights"):
        compute_features(store, FeatureSpec("resnet18", "0" * 64))


def test_the_version_stands_for_these_numbers() -> None:
    # What version 1 makes of drawn pictures. Where features come to mean something else, SCATTERING_VERSION is raised,
    # so that nobody reads kept ones for them, and the numbers here are replaced; rounding does not move them so far.
    assert SCATTERING_VERSION == 1
    images = (reference_pictures(4, 32) * 255).round().to(torch.uint8).numpy()[..., None]
    coloured = np.concatenate([images, 255 - images, images], axis=3)
    for spec, given, expected in (
        (ScatteringSpec(32, 1), images, (-3.5329, 12.1317, 16.9649, 4.0137)),
        (ScatteringSpec(24, 3), coloured, (-4.6825, -8.5479, -6.1703, -3.5229)),
    ):
        found = np.empty((4, spec.width))
        for rows, values in features_of(spec, given):
            found[rows] = values
        assert found @ np.cos(np.arange(spec.width)) == pytest.approx(expected, abs=5e-3)


# --- who reads them ---


@pytest.mark.parametrize("plan", [TRAINING, PRIVATE, GRAM, EVALUATION])
def test_a_run_reads_them_and_nothing_else_of_its_plan_changes(store: Path, kept: Path, plan: TrainingPlan) -> None:
    read = reading_kept(plan, store)
    assert not isinstance(read, StatisticsPlan)
    assert check_features(read) == SPEC and read.model.name == "features"
    assert replace(read, model=plan.model) == plan
    assert trainable_shapes(read.model) == trainable_shapes(plan.model)
    assert width_of(read.model) == width_of(plan.model) == 705
    assert parse(read.to_json()) == read  # as the runner gets it
    assert reading_kept(read, store) == read


@pytest.mark.parametrize(
    "plan",
    [
        replace(TRAINING, augmentation="flips"),
        replace(TRAINING, model=replace(MODEL, options={"size": 40})),
        replace(TRAINING, model=ModelSpec("linear", (16, 16, 3), 2)),
        STATISTICS,
    ],
)
def test_other_plans_run_as_they_did(store: Path, kept: Path, plan: TrainingPlan | StatisticsPlan) -> None:
    assert reading_kept(plan, store) is plan


def test_without_them_or_with_those_of_another_version_features_are_computed(store: Path, kept: Path) -> None:
    draw_features(store, replace(SPEC, version=2))
    assert scattering_of(TRAINING) == SPEC
    kept.rename(kept.with_name("away"))
    assert reading_kept(TRAINING, store) is TRAINING


def test_those_that_were_changed_are_refused(store: Path, kept: Path) -> None:
    array = np.load(kept / ARRAY)
    array[3, 4] += 1
    np.save(kept / ARRAY, array)
    with pytest.raises(StoreBroken, match="missing or damaged"):
        open_features(store, SPEC, open_store(store).manifest)


def test_rounds_on_kept_features_give_what_rounds_on_pictures_give(store: Path, kept: Path) -> None:
    # Everybody takes part and there is hardly any noise, so both sides compute the same, but for rounding.
    weights = initial_weights(MODEL, 0)
    anew = run_round(PRIVATE, 0, weights, pictures_of(store, None))
    read = run_round(reading_kept(PRIVATE, store), 0, weights, pictures_of(store, SPEC))
    assert np.abs(anew["head.weight"]).max() > 0.01
    for name, array in anew.items():
        assert read[name] == pytest.approx(array, abs=5e-4)
    trained = {name: weights[name] + array for name, array in anew.items()}
    judged = run_round(EVALUATION, 0, trained, pictures_of(store, None))["confusion"]
    assert np.trace(judged) > 60
    again = run_round(reading_kept(EVALUATION, store), 0, trained, pictures_of(store, SPEC))["confusion"]
    assert again == pytest.approx(judged, abs=0.02)


def test_a_gram_matrix_of_kept_features_is_that_of_computed_ones(store: Path, kept: Path) -> None:
    anew = sum_grams(GRAM, pictures_of(store, None))
    read = reading_kept(GRAM, store)
    assert isinstance(read, GramPlan) and read.outputs == GRAM.outputs
    for name, sums in sum_grams(read, pictures_of(store, SPEC)).items():
        assert sums == pytest.approx(anew[name], abs=1e-3)


# --- what a plan may say ---


def test_no_plan_names_them(store: Path, kept: Path) -> None:
    read = reading_kept(TRAINING, store)
    assert isinstance(read, TrainingPlan)
    with pytest.raises(PlanError, match="model 'scattering_linear'"):
        check_options(read.model)
    with pytest.raises(PlanError, match="model 'scattering_linear'"):
        check_options(ModelSpec("features", (16, 16, 3), 2, {"backbone": "scattering"}))
    assert "scattering" not in BACKBONES
    check_there(TRAINING, store)


def test_every_attribute_is_in_the_name() -> None:
    others = replace(SPEC, input_size=40), replace(SPEC, channels=1), replace(SPEC, version=2)
    assert len({SPEC.key, *(other.key for other in others)}) == 4


@pytest.mark.parametrize("change", [{"input_size": 8}, {"channels": 5}, {"version": 0}, {"backbone": "resnet18"}])
def test_attributes_that_cannot_be_are_refused(change: dict[str, int | str]) -> None:
    with pytest.raises(PlanError, match=next(iter(change))):
        replace(SPEC, **change)  # type: ignore[arg-type]
