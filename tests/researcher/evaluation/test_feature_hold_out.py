"""A hold-out's features on the researcher's side: from the plan's own public weights, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from datasites.training.models import initial_weights
from policies.errors import ConfigError, DataError
from policies.plans.features import FeatureSpec
from policies.plans.training import ModelSpec
from researcher.cli import main
from researcher.evaluation.evaluation import evaluate
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut
from researcher.studies.checkpoints import Checkpoint, save_model

CLASSES = ("dark", "bright")


@pytest.fixture
def public(backbone: tuple[Path, FeatureSpec]) -> Path:
    return backbone[0]


@pytest.fixture
def model(backbone: tuple[Path, FeatureSpec]) -> ModelSpec:
    return ModelSpec("features", (8, 8, 1), 2, backbone[1].options)


@pytest.fixture
def hold_out() -> HoldOut:
    images = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    return HoldOut(images, np.arange(6) % 2, CLASSES)


def test_a_hold_out_gets_what_the_model_reads(public: Path, model: ModelSpec, hold_out: HoldOut) -> None:
    seen = with_features(hold_out, model, str(public))
    assert seen.features is not None and seen.features.shape == (6, 512) and seen.images is hold_out.images
    confusion = evaluate(model, initial_weights(model, 0), seen).confusion
    assert np.sum(confusion) == 6


def test_a_model_that_reads_pictures_needs_nothing(hold_out: HoldOut) -> None:
    assert with_features(hold_out, ModelSpec("linear", (8, 8, 1), 2), None) is hold_out


def test_named_weights_are_downloaded(public: Path, model: ModelSpec, hold_out: HoldOut) -> None:
    asked = []

    def download(source: object) -> Path:
        asked.append(source)
        return public

    seen = with_features(hold_out, model, "timm:resnet18.a1_in1k", download=download)
    assert seen.features is not None and len(asked) == 1


@pytest.mark.parametrize("given", [None, ""])
def test_without_weights_it_is_told_which_are_needed(model: ModelSpec, hold_out: HoldOut, given: str | None) -> None:
    with pytest.raises(ConfigError, match=f"SHA-256 {model.options['weights_sha256']}: --backbone_weights"):
        with_features(hold_out, model, given)


def test_other_weights_are_refused(tmp_path: Path, model: ModelSpec, hold_out: HoldOut) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"other")
    with pytest.raises(ConfigError, match="Nothing of it was read"):
        with_features(hold_out, model, str(tmp_path / "other.safetensors"))


def test_a_hold_out_without_features_is_refused(model: ModelSpec, hold_out: HoldOut) -> None:
    with pytest.raises(DataError, match="--backbone_weights"):
        evaluate(model, initial_weights(model, 0), hold_out)


def test_a_saved_head_is_evaluated_with_its_backbone(
    tmp_path: Path, public: Path, model: ModelSpec, hold_out: HoldOut, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "test.npz", images=hold_out.images, labels=hold_out.labels, class_names=np.array(CLASSES))
    weights = initial_weights(model, 0)
    weights["head.bias"][0] = 1  # everything is dark, which half of the pictures are
    save_model(tmp_path / "head.safetensors", Checkpoint(weights, model, 1, CLASSES, "0" * 64, {}))
    arguments = ["evaluate", str(tmp_path / "head.safetensors"), "--test", str(tmp_path / "test.npz")]
    assert main(arguments) == 1 and "--backbone_weights" in capsys.readouterr().err
    assert main([*arguments, "--backbone_weights", str(public)]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 0.5
