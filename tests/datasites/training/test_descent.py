"""Steps on a processor are those of torch's own optimiser to the last bit, and import nothing of its compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS
from torch import nn

from datasites.training.descent import Descent, set_learning_rate

SHAPES = [(3, 2, 3, 3), (7,), (), (0, 4)]
TRAINS = """
import json, sys
import numpy as np
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
model = ModelSpec("small_cnn", (16, 16, 3), 2, {"width": 4})
privacy = PrivacySpec(1.0, 1.0, 1e-5) if sys.argv[1] == "private" else None
plan = TrainingPlan("s", "d", model, 1, 2, 0.1, 0.5, momentum=0.9, privacy=privacy)
pictures = LabelledPictures(np.zeros((8, 16, 16, 3), np.uint8), np.arange(8) % 2, np.arange(8), 8)
train_round(plan, 0, initial_weights(model, 0), pictures)
print(sorted({"opacus", "torch._dynamo", "sympy", "scipy", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_are_torchs_own_to_the_last_bit(momentum: float, weight_decay: float) -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in SHAPES] + [nn.Parameter(torch.randn(2))]
    theirs = [nn.Parameter(one.detach().clone()) for one in ours]
    own = Descent(ours, lr=0.3, momentum=momentum, weight_decay=weight_decay)
    expected = torch.optim.SGD(theirs, lr=0.3, momentum=momentum, weight_decay=weight_decay)
    for step in range(6):
        for optimizer in (own, expected):
            set_learning_rate(optimizer, 0.3 / (1 + step))  # type: ignore[arg-type]
        for one, other in zip(ours[:-1], theirs[:-1], strict=True):  # the last one has no gradient
            one.grad = torch.randn_like(one) * 10.0**step
            other.grad = one.grad.clone()
        own.step()
        expected.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)


def test_what_is_kept_of_a_step_is_no_gradients_memory() -> None:
    """A round without privacy writes the next step's gradient where this one's was."""
    (parameter,) = parameters = [nn.Parameter(torch.zeros(1))]
    descent = Descent(parameters, lr=1.0, momentum=0.5, weight_decay=0.0)
    parameter.grad = torch.ones(1)
    for moved in (-1.0, -2.5, -4.25):
        parameter.grad.fill_(1.0)
        descent.step()
        assert parameter.grad.item() == 1.0 and parameter.item() == moved


def test_gradients_are_forgotten_or_zeros() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))]
    descent = Descent(parameters, lr=1.0, momentum=0.0, weight_decay=0.0)
    parameters[0].grad = torch.ones(2)
    descent.zero_grad(set_to_none=False)
    assert parameters[0].grad.tolist() == [0.0, 0.0] and parameters[1].grad is None
    descent.zero_grad()
    assert parameters[0].grad is None


def test_a_round_without_privacy_imports_neither_opacus_nor_torchs_compiler() -> None:
    assert imported("plain") == "[]"


def test_a_private_round_imports_no_more_of_opacus_than_its_optimiser() -> None:
    assert "opacus" not in imported("private") and "scipy" not in imported("private")


def imported(privacy: str) -> str:
    """Which of the modules that take long a process has that trained one round."""
    command = [sys.executable, "-c", TRAINS, privacy]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS, check=True)
    return done.stdout.strip()
