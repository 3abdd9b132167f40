"""A captured network becomes a plan that is rehearsed at home, and starts from the weights that it had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.notebooks import federation
from torch import nn

from policies.errors import ConfigError, InputRefused
from researcher.captures.capture import CapturedModel, capture
from researcher.planning.initial_weights import load_initial_weights


@pytest.fixture(scope="module")
def captured() -> CapturedModel:
    torch.manual_seed(1)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return capture(nn.Sequential(*layers, nn.Dropout(), nn.Linear(4, 2)), image_shape=(16, 16, 1), num_classes=2)


def test_a_captured_network_is_rehearsed_at_home(captured: CapturedModel, tmp_path: Path) -> None:
    file = captured.save(tmp_path / "model.graph.json")
    draft = federation().plan(model_graph=str(file), num_rounds=2, sample_rate=0.2, noise_multiplier=2.0)
    assert draft.plan.model.name == "graph"
    assert "model_sources lacks 'graph'" in str(draft.refusals), "the hospitals of this test have not chosen own models"
    assert draft.rehearse().seconds_a_round > 0
    assert captured.graph.digest() in draft._repr_html_()


def test_a_study_starts_from_the_weights_that_a_network_had(captured: CapturedModel, tmp_path: Path) -> None:
    spec = federation().plan(model_graph=captured.graph, noise_multiplier=2.0).plan.model
    file = tmp_path / "model.safetensors"
    sha256 = captured.save_weights(file)
    first = load_initial_weights(spec, str(file), sha256=sha256)
    assert not first.not_loaded and not first.changed and not first.not_used
    assert set(first.weights) == set(captured.weights)
    for name, array in captured.weights.items():
        np.testing.assert_array_equal(first.weights[name], array)
    with pytest.raises((ConfigError, InputRefused)):
        load_initial_weights(spec, str(file), sha256="0" * 64)
