"""What an engine cannot train is refused from a plan alone, before there are pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from datasites.training.engines import ENGINES, check_trainable
from datasites.training.models import MODELS
from policies.errors import PlanError
from policies.plans.features import FeatureSpec
from policies.plans.training import ModelSpec

SPEC = ModelSpec("tried", (8, 8, 1), 3)
REPORTS = {"text_length": 8, "vocabulary": 100, "tokeniser": "hashed_words_1"}
OPTIONS: dict[str, Any] = {"image_text": REPORTS, "features": FeatureSpec("resnet18", "0" * 64).options}


class Recurrent(nn.Module):
    """Reads a picture row by row."""

    def __init__(self):
        super().__init__()
        self.rows = nn.LSTM(8, 4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        return self.head(self.rows(images[:, 0])[0][:, -1])


class Attending(nn.Module):
    """Torch's own attention over a picture's rows."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        rows = images[:, 0]
        return self.head(self.attention(rows, rows, rows)[0].mean(1))


class Multiplied(nn.Module):
    """A matrix of its own, outside any layer."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(64, 3))

    def forward(self, images):
        return images.flatten(1) @ self.matrix


def normalised(*, trained):
    return nn.Sequential(nn.BatchNorm2d(1, affine=trained), nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_can_be_trained_by_every_engine(name, engine):
    check_trainable(ModelSpec(name, (32, 32, 3), 3, OPTIONS.get(name, {})), engine)


@pytest.mark.parametrize(
    ("engine", "build", "said"),
    [
        ("book_keeping", Recurrent, r"'rows' \(LSTM\).*Use convolutions or attention"),
        ("book_keeping", Attending, r"'attention' \(MultiheadAttention\).*scaled_dot_product_attention"),
        ("book_keeping", Multiplied, r"'matrix'.*matmul.*engine 'opacus'"),
        ("book_keeping", lambda: normalised(trained=False), r"'0' \(BatchNorm2d\).*GroupNorm"),
        ("opacus", Recurrent, r"'rows' \(LSTM\).*DPLSTM"),
        ("opacus", Attending, r"'attention' \(MultiheadAttention\).*DPMultiheadAttention"),
        ("opacus", lambda: normalised(trained=True), r"'0' \(BatchNorm2d\).*GroupNorm"),
        ("opacus", lambda: normalised(trained=False), r"'0' \(BatchNorm2d\).*GroupNorm"),
    ],
)
def test_what_an_engine_cannot_train_is_refused_by_its_name(monkeypatch, engine, build, said):
    monkeypatch.setitem(MODELS, SPEC.name, lambda spec: build())
    with pytest.raises(PlanError, match=said):
        check_trainable(SPEC, engine)
