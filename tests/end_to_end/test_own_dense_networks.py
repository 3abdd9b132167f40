"""Own models of dense blocks at three hospitals: trained with noise, and exported as what was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from support.hospitals import CLASSES, Hospital, draw_pictures, make_hospital, running
from torch import nn

from datasites.training.evaluation import predict
from researcher.captures.capture import capture
from researcher.evaluation.hold_out import HoldOut
from researcher.exported.session import ModelSession
from researcher.exports.export import export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.pictures import Pictures
from researcher.hospitals.federation import Federation
from researcher.planning.planning import StudySettings, make_plan
from researcher.studies.checkpoints import Checkpoint, load_model, save_model
from researcher.studies.study import Study

NAMES = ("east", "north", "south")
ROUNDS, SIDE = 2, 32


class DenseNetwork(nn.Module):
    """Two dense blocks with a transition between them: each layer reads what all before it made."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False)
        self.first = nn.ModuleList(_layer(8 + 4 * before, 4) for before in range(3))
        self.between = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 8, 1), nn.AvgPool2d(2))
        self.second = nn.ModuleList(_layer(8 + 4 * before, 4) for before in range(3))
        self.head = nn.Linear(20, 2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = self.between(_dense(self.first, self.stem(pictures)))
        return self.head(torch.relu(_dense(self.second, maps)).mean(dim=(2, 3)))


def _layer(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))


def _dense(layers: nn.ModuleList, maps: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        maps = torch.cat([maps, layer(maps)], dim=1)
    return maps


def densenet121() -> nn.Module:
    """The public architecture, for grey pictures and two classes; the weights are drawn."""
    made: nn.Module = timm.create_model("densenet121", num_classes=len(CLASSES), in_chans=1)
    return made


def larger(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The tests' dark and bright pictures, with a side of `SIDE`: DenseNet121 halves a picture five times."""
    images, labels = draw_pictures(count, seed)
    return images.repeat(SIDE // 16, axis=1).repeat(SIDE // 16, axis=2), labels


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Hospital]]:
    folder = tmp_path_factory.mktemp("three")
    drawn = [larger(100, seed) for seed in range(len(NAMES))]
    np.savez(
        folder / "pictures.npz",
        images=np.concatenate([images for images, _ in drawn]),
        labels=np.concatenate([labels for _, labels in drawn]),
        sites=np.repeat(NAMES, 100),
        class_names=np.array(CLASSES),
    )
    made = [make_hospital(folder, name, folder / "pictures.npz") for name in NAMES]
    for hospital in made:
        hospital.configure(model_sources=["built_in", "graph"])
    with running(*made) as started:
        yield started


@pytest.fixture(scope="module")
def all_three(three: dict[str, Hospital]) -> Iterator[Federation]:
    with Federation.connect([hospital.credentials() for hospital in three.values()]) as connected:
        yield connected


@pytest.mark.parametrize(
    "network", [DenseNetwork, pytest.param(densenet121, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_it_trains_at_three_hospitals_and_its_export_says_the_same(
    three: dict[str, Hospital], all_three: Federation, tmp_path: Path, network: Any
) -> None:
    torch.manual_seed(0)
    captured = capture(network(), image_shape=(SIDE, SIDE, 1), num_classes=len(CLASSES))
    assert any("BatchNorm layers were replaced by GroupNorm" in note for note in captured.notes)
    settings = StudySettings(
        study=f"dense-{network.__name__.lower()}",
        model_graph=captured.graph,
        num_rounds=ROUNDS,
        local_epochs=0.2,
        sample_rate=0.1,
        noise_multiplier=2.0,
        learning_rate=0.1,
    )
    plan = make_plan(settings, all_three.datasets())
    assert plan.privacy is not None
    study = Study.submit(all_three, plan, tmp_path / "study")
    for name, request in study.requests.items():
        three[name].admin("approve", request.request_id)
    images, labels = larger(40, seed=99)
    state, history = study.run(hold_out=HoldOut(images, labels, CLASSES), initial_weights=captured.weights)

    assert [record.datasites for record in history.records] == [NAMES] * ROUNDS
    assert all(set(record.epsilon) == set(NAMES) for record in history.records)
    assert set(state.model) == set(captured.graph.parameters)
    moved = {name for name, array in state.model.items() if not np.array_equal(array, captured.weights[name])}
    assert moved == set(captured.graph.parameters)  # noise alone moves each number
    spent = study.privacy(history)
    kept = Checkpoint(state.model, plan.model, ROUNDS, CLASSES, plan.digest(), spent)
    file = save_model(tmp_path / "global_model.safetensors", kept)
    held = Pictures(images, None, labels, "the hold-out")
    made = export_onnx(GlobalModel.load(file), tmp_path / "model.onnx", int8=False, pictures=held)
    trained, told = load_model(file), made.about.likeness
    assert told is not None and (told.max_abs_difference < 1e-4, told.agreement) == (True, 1.0)
    found = ModelSession.open(made.file).probabilities(images)
    np.testing.assert_allclose(found, predict(trained.model, trained.weights, images), atol=1e-4)
    assert np.ptp(found[:, 0]) > 0  # the pictures are told apart, so that equal means something
