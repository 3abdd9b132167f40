"""What a plan may say of features, and that everything it says is in their name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.errors import PlanError
from policies.plans.features import BACKBONES, FeatureSpec
from policies.plans.model_options import check_features
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, TrainingPlan

SPEC = FeatureSpec("resnet18", "ab" * 32, 64, "half")
MODEL = ModelSpec("features", (16, 16, 1), 2, SPEC.options)
PLAN = TrainingPlan("s", "d", MODEL, 1, 1, 0.1, 0.1)


def test_a_model_says_which_features_it_reads():
    assert FeatureSpec.of(MODEL) == SPEC
    needed = ModelSpec("features", (16, 16, 3), 2, {"backbone": "resnet50_gn", "weights_sha256": "0" * 64})
    assert FeatureSpec.of(needed) == FeatureSpec("resnet50_gn", "0" * 64, 224, "imagenet")
    assert FeatureSpec.of(ModelSpec("small_cnn", (16, 16, 1), 2)) is None


def test_every_attribute_is_in_the_name():
    others = (
        replace(SPEC, backbone="resnet50"),
        replace(SPEC, weights_sha256="0" * 64),
        replace(SPEC, input_size=96),
        replace(SPEC, normalisation="imagenet"),
    )
    assert len({SPEC.key, *(other.key for other in others)}) == 5
    assert SPEC.key == FeatureSpec(**SPEC.options).key


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": "resnet9000"}, "efficientnet_lite0"),
        ({"weights_sha256": "AB" * 32}, "weights_sha256"),
        ({"weights_sha256": "../../etc"}, "weights_sha256"),
        ({"input_size": 16}, "input_size"),
        ({"input_size": 1024}, "input_size"),
        ({"input_size": True}, "input_size"),
        ({"normalisation": "none"}, "normalisation"),
        ({"depth": 3}, "no option 'depth'"),
    ],
)
def test_features_that_cannot_be_are_refused(options, said):
    with pytest.raises(PlanError, match=said):
        FeatureSpec.of(ModelSpec("features", (16, 16, 1), 2, {**SPEC.options, **options}))


@pytest.mark.parametrize("missing", ["backbone", "weights_sha256"])
def test_backbone_and_digest_must_be_named(missing):
    options = {name: value for name, value in SPEC.options.items() if name != missing}
    with pytest.raises(PlanError, match=missing):
        FeatureSpec.of(ModelSpec("features", (16, 16, 1), 2, options))


def test_pictures_of_four_channels_are_refused():
    with pytest.raises(PlanError, match="1 or 3 channels"):
        FeatureSpec.of(ModelSpec("features", (16, 16, 4), 2, SPEC.options))


def test_a_plan_that_changes_pictures_is_refused_since_features_are_computed_once():
    assert check_features(PLAN) == SPEC
    with pytest.raises(PlanError, match="augmentation must be 'none'"):
        check_features(replace(PLAN, augmentation="flips"))
    assert check_features(replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2), augmentation="flips")) is None


def test_evaluations_read_features_and_statistics_read_pictures():
    release = ReleaseSpec(20.0, 1e-5)
    assert check_features(EvaluationPlan("s", "d", MODEL, 1, release)) == SPEC
    assert check_features(StatisticsPlan("s", "d", (16, 16, 1), 2, release)) is None


def test_the_names_are_such_that_a_folder_can_have():
    for backbone in BACKBONES:
        assert replace(SPEC, backbone=backbone).key.replace("_", "").replace("-", "").isalnum()
