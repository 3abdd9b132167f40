"""Recurrent layers are captured step by step, with each picture's own gradient, drawn at random in all their kinds."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from support.captures import check_each_picture
from support.clipping_oracle import distance, norm_of, one_by_one
from torch import nn

from datasites.training.book_keeping import BookKeeping
from policies.errors import GraphError
from researcher.captures.capture import capture

SHAPE = (5, 4, 3)
FAR = 1e6  # above every picture's norm


class Rows(nn.Module):
    """A recurrent layer over the rows of a picture, or over those of each half as a row of its own.

    Args:
        layer: With the pictures first, or second.
        halves: Whether each half of a picture is a sequence of its own.
    """

    def __init__(self, layer: nn.RNNBase, *, halves: bool) -> None:
        super().__init__()
        self.layer, self.halves = layer, halves
        states = 2 if isinstance(layer, nn.LSTM) else 1
        ways = 2 if layer.bidirectional else 1
        runs = ways * layer.num_layers * states
        self.head = nn.Linear((ways * SHAPE[0] + runs) * layer.hidden_size * (1 + halves), 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        count = pictures.shape[0]
        if self.halves:
            rows = pictures.unflatten(3, (2, 2)).permute(0, 3, 2, 1, 4).reshape(2 * count, SHAPE[0], 6)
        else:
            rows = pictures.permute(0, 2, 1, 3).flatten(2)
        told, state = self.layer(rows if self.layer.batch_first else rows.transpose(0, 1))
        parts = [told if self.layer.batch_first else told.transpose(0, 1)]
        parts += [one.transpose(0, 1) for one in (state if isinstance(state, tuple) else (state,))]
        return self.head(torch.cat([part.reshape(count, -1) for part in parts], dim=1))


def drawn(seed: int) -> Rows:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    halves = draw.random() < 0.4
    settings: dict[str, Any] = {
        "num_layers": draw.choice([1, 1, 2]),
        "bidirectional": draw.random() < 0.5,
        "bias": draw.random() < 0.7,
        "batch_first": draw.random() < 0.6,
    }
    kind = [nn.LSTM, nn.GRU, nn.RNN][seed % 3]
    if kind is nn.RNN:
        settings["nonlinearity"] = draw.choice(["tanh", "relu"])
    return Rows(kind(6 if halves else 12, draw.choice([1, 5]), **settings), halves=halves)


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_of_recurrent_layer_has_each_pictures_own_gradient(seed: int) -> None:
    network = drawn(seed)
    check_each_picture(network, capture(network, image_shape=SHAPE, num_classes=4), SHAPE)


@pytest.mark.parametrize("seed", range(3))
def test_views_of_a_picture_are_averaged_before_clipping(seed: int) -> None:
    model = capture(drawn(seed), image_shape=SHAPE, num_classes=4).build()
    pictures = torch.randn(6, 3, *SHAPE[:2], generator=torch.Generator().manual_seed(1))
    labels, counted = torch.tensor([0, 2, 1]), torch.tensor([True, True, False])
    kept = [place for place in range(6) if place % 3 != 2]
    norms, sums = BookKeeping(model, FAR).norms_and_sum(pictures, labels, counted)
    double = capture(drawn(seed), image_shape=SHAPE, num_classes=4).build().double()
    expected = one_by_one(double, pictures[kept].double(), labels[:2], FAR, 2)
    assert distance(sums, expected) <= 1e-5 * norm_of(expected)
    assert len(norms) == 3


class Cells(nn.Module):
    """One cell of each kind, three steps over rows."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.gated = nn.LSTMCell(12, 4), nn.GRUCell(4, 4)
        self.plain, self.bent = nn.RNNCell(4, 4, bias=False), nn.RNNCell(4, 4, nonlinearity="relu")
        self.begin = nn.Parameter(torch.randn(1, 4))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        told, kept = self.begin.expand(pictures.shape[0], -1), pictures.new_zeros(pictures.shape[0], 4)
        state, others = told, told.tanh()
        for row in range(3):
            told, kept = self.memory(pictures[:, :, row].flatten(1), (told, kept))
            state, others = self.gated(told, state), self.bent(state, self.plain(told, others))
        return state + others + kept


def test_cells_have_each_pictures_own_gradient() -> None:
    torch.manual_seed(0)
    network = Cells()
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert any("3 gru_cell" in note and "3 lstm_cell" in note for note in captured.notes)
    check_each_picture(network, captured, SHAPE)


def test_dropout_between_layers_is_taken_out_and_told() -> None:
    torch.manual_seed(0)
    network = Rows(nn.LSTM(12, 4, 2, dropout=0.5, batch_first=True), halves=False)
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert captured.notes[0] == "1 layer of Dropout taken out: private training adds noise of its own."
    assert network.layer.dropout == 0.5


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.LSTM(12, 4, proj_size=2, batch_first=True), "Leave proj_size out"),
        (nn.GRU(12, 4), "batch_first=True"),
    ],
)
def test_what_a_recurrent_layer_is_refused_for_has_a_way_out(layer: nn.RNNBase, why: str) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.layer(pictures.permute(0, 2, 1, 3).flatten(2))[0].flatten(1)

    with pytest.raises(GraphError, match=why):
        capture(Last(), image_shape=SHAPE, num_classes=4)
