"""Clients of Flower that the benchmark of simulations is compared with: the same model and plan, in another's hand."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasites.training.models import build_model, read_weights
from datasites.training.pictures.data import to_tensor
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import flower_own_client as own

MODEL = ModelSpec("small_cnn", (32, 32, 3), 3)
PLAIN = TrainingPlan("s", "d", MODEL, 5, 10, sample_rate=0.2, learning_rate=0.3, learning_rate_schedule="cosine")


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Of three classes, each bright in a place of its own."""
    random, labels = np.random.default_rng(0), np.arange(18) % 3
    images = random.integers(0, 100, (18, 32, 32, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[10 * label : 10 * label + 10] += 150
    return images, labels


def private(noise: float, clip: float = 1.0) -> TrainingPlan:
    return replace(PLAIN, privacy=PrivacySpec(noise, clip, 1e-5))


def settings_of(plan: TrainingPlan) -> own.Settings:
    return own.Settings.of(json.loads(plan.to_json()))


def change(plan: TrainingPlan, pictures: tuple[np.ndarray, np.ndarray], *, seed: int = 0) -> np.ndarray:
    """By how much all numbers of the model changed in a round."""
    torch.manual_seed(seed)
    first = own.Net(3).state_dict()
    before = {name: tensor.clone() for name, tensor in first.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Opacus says to each of its users
        trained = own.train(settings_of(plan), 0, first, *pictures, 20)
    return np.concatenate([(trained[name] - before[name]).numpy().ravel() for name in before])


def test_its_model_is_the_plans(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    model, net = build_model(MODEL), own.Net(3)
    ours, theirs = read_weights(model), net.state_dict()
    assert [array.shape for array in ours.values()] == [tuple(tensor.shape) for tensor in theirs.values()]
    net.load_state_dict(dict(zip(theirs, map(torch.from_numpy, ours.values()), strict=True)))
    assert torch.equal(own.to_tensor(pictures[0]), to_tensor(pictures[0]))
    assert torch.allclose(net(own.to_tensor(pictures[0])), model(to_tensor(pictures[0])), atol=1e-6)


def test_its_learning_rates_are_the_plans() -> None:
    assert [settings_of(PLAIN).learning_rate_at(step) for step in range(50)] == [
        PLAIN.learning_rate_at(step) for step in range(50)
    ]


def test_without_privacy_it_learns_what_it_is_shown(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    torch.manual_seed(0)
    state = own.Net(3).state_dict()
    before = own.accuracy(state, *pictures)
    for index in range(5):
        state = own.train(settings_of(PLAIN), index, state, *pictures, 20)
    assert own.accuracy(state, *pictures) > max(before, 0.6)


def test_private_steps_have_the_plans_noise(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    """Clipped to next to nothing, all that a step adds is noise: of each, rate times sigma times C over L = 4."""
    plan = private(1000.0, 0.01)
    summed = np.sqrt(sum(plan.learning_rate_at(step) ** 2 for step in range(10)))
    expected = summed * 1000.0 * 0.01 / 4
    assert change(plan, pictures).std() == pytest.approx(expected, rel=0.03)


def test_its_noise_is_its_own_in_each_round(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    assert not np.array_equal(change(private(1.0), pictures, seed=1), change(private(1.0), pictures, seed=2))


@pytest.mark.parametrize("more", [{"momentum": 0.5}, {"augmentation": "flips"}])
def test_it_refuses_a_plan_that_it_would_not_keep(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="does not do"):
        settings_of(replace(PLAIN, **more))  # type: ignore[arg-type]
