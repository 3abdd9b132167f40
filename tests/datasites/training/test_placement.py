"""One picture more moves a private step's sum by at most C, also where weights make much of the last bits.

Last layers' numbers lie far from zero, at random: there rounding decides, and kernels round by the size of a batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.clipping_oracle import distance

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.dp_sgd.opacus_hooks import OpacusHooks
from datasites.training.local_round import train_round
from datasites.training.models import MODELS, initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.features import FeatureSpec
from policies.plans.tokeniser import TextForm, text_form
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

BOUND = 0.5
SMALL = (28, 28, 3)
TEXT = TextForm(length=6, vocabulary=32)
SPECS = {
    **{name: ModelSpec(name, SMALL, 4) for name in MODELS},
    "features": ModelSpec("features", (8, 8, 1), 4, FeatureSpec("resnet18", "0" * 64).options),
    "image_text": ModelSpec("image_text", (16, 16, 3), 4, {**TEXT.options, "width": 4, "text_features": 8}),
    "small_cnn": ModelSpec("small_cnn", (16, 16, 3), 4, {"width": 8}),
    "linear": ModelSpec("linear", (16, 16, 3), 4),
}
# Made of layers that others have too: slow tests.
COSTLIEST = ("resnet50", "mobilenet_v3_large", "efficientnet_lite0")
# The largest, with fewer layers or channels; they are taken whole among the slow tests.
SMALLER = {
    "resnet18": {"width": 16},
    "resnet50": {"width": 16},
    "vit_small": {"width": 192, "depth": 3},
    "mobilenet_v3_large": {"width": 0.5},
    "efficientnet_lite0": {"width": 0.25},
}
# Engine, precision, threads, whether the model's memory is in channels_last.
WAYS = {
    "usual": ("book_keeping", "float32", 1, False),
    "opacus": ("opacus", "float32", 1, False),
    "half": ("book_keeping", "bfloat16", 1, False),
    "two_threads": ("book_keeping", "float32", 2, True),
}
DEVICES = ["cpu", *(["auto"] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def summed(monkeypatch):
    """Takes one private step of pictures that are all drawn, and returns its sum before it is noised."""
    sums = []
    monkeypatch.setattr(NoisyOptimizer, "step_with", lambda self, found: sums.append([part.clone() for part in found]))

    def step(spec, weights, pictures, way, *, device="cpu", places=2, seed=1):
        engine, precision, threads, channels_last = way
        torch.set_num_threads(threads)
        order = torch.channels_last if channels_last else torch.contiguous_format

        def made(model, bound, loss):
            kind = {"book_keeping": BookKeeping, "opacus": OpacusHooks}[engine]
            return kind(model.to(memory_format=order), bound, loss)

        run = RunSpec(device, physical_batch_size=places, engine=engine, precision=precision)
        plan = TrainingPlan("s", "d", spec, 1, 1, 1.0, 0.1, privacy=PrivacySpec(1.0, BOUND, 1e-5), run=run)
        train_round(plan, 0, weights, pictures, random=SecureRandom.for_tests(seed), engine=made)
        return sums.pop()

    return step


def weights_of(spec, seed):
    rng, weights = np.random.default_rng(seed), initial_weights(spec, seed)
    for name in list(weights)[-2:]:
        scale, offset = 10.0 ** rng.uniform(-1, 1), rng.choice([-1, 1]) * 10.0 ** rng.uniform(2, 8)
        weights[name] = (weights[name] * scale + offset).astype(np.float32)
    return weights


def some_pictures(spec, count, seed, declared=3):
    rng, most = np.random.default_rng(seed), declared + 5
    everyone = rng.integers(0, 256, (most, *spec.image_shape), dtype=np.uint8)
    labels, words = rng.integers(0, 4, most), rng.integers(0, 32, (most, 6)).astype(np.int32)
    features = rng.standard_normal((most, 512)).astype(np.float32)
    form = text_form(spec)
    return LabelledPictures(
        everyone[:count],
        labels[:count],
        np.arange(count),
        public_size=declared,
        texts=None if form is None else words[:count],
        text_form=form,
        features=features[:count] if spec.name == "features" else None,
    )


def moved(summed, spec, way, *, seed, fewer, declared=3, **settings):
    weights = weights_of(spec, seed)
    sums = [
        summed(spec, weights, some_pictures(spec, fewer + more, seed, declared), way, seed=seed + more, **settings)
        for more in (0, 1)
    ]
    return distance(*sums)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in COSTLIEST)) for one in MODELS])
def test_a_picture_more_moves_the_sum_of_every_model_by_no_more_than_the_bound(summed, name, device):
    spec = replace(SPECS[name], options={**SPECS[name].options, **SMALLER.get(name, {})})
    assert moved(summed, spec, WAYS["usual"], seed=1, fewer=1, device=device) <= BOUND


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name in MODELS for way in WAYS if way != "usual" or name in SMALLER]
)
def test_and_so_in_every_other_way_and_at_its_whole_size(summed, name, way, device):
    assert moved(summed, SPECS[name], WAYS[way], seed=1, fewer=1, device=device) <= BOUND


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("places", [16, 128, 256])
@pytest.mark.parametrize("way", ["usual", "opacus", "half"])
@pytest.mark.parametrize("name", ["linear", "small_cnn", "resnet18", "vit_small", "mobilenet_v3_small"])
def test_on_a_gpu_in_batches_of_the_sizes_that_its_kernels_are_chosen_by(summed, name, way, places):
    for fewer in (places // 2, places - 1, places):  # the last needs a second batch
        change = moved(
            summed, SPECS[name], WAYS[way], seed=3, fewer=fewer, declared=places, places=places, device="auto"
        )
        assert change <= BOUND, fewer


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["linear", "small_cnn"])
def test_whatever_the_weights_and_the_number_of_pictures(summed, name, way):
    for seed in (10, 13, 14, 21):
        assert moved(summed, SPECS[name], WAYS[way], seed=seed, fewer=1) <= BOUND, seed
    for fewer in (2, 3):  # the last is one more than the declared size
        assert moved(summed, SPECS[name], WAYS[way], seed=13, fewer=fewer) <= BOUND, fewer
