"""An own network is captured as what it computes, or refused with its own line and what to use instead."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import torch
import torch.nn.functional as F
from support.captures import check_each_picture
from support.clipping_oracle import distance, norm_of, one_by_one
from torch import nn

from datasites.training.book_keeping import BookKeeping
from datasites.training.graphs import GraphModel
from datasites.training.models import build_model
from policies.errors import GraphError
from policies.graphs.own_model import spec_of
from policies.graphs.proof import prove
from policies.graphs.reading import read_graph
from policies.plans.model_spec import ModelSpec
from researcher.captures.capture import CapturedModel, capture
from researcher.captures.named import capture_named
from researcher.cli.program import main

SHAPE = (8, 8, 3)


class Mixed(nn.Module):
    """What many networks have: BatchNorm, dropout, an addition in place, a class token, attention, a layer's scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.scale = nn.Parameter(torch.rand(8))
        self.table = nn.Parameter(torch.randn(17, 2))
        self.qkv = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, 4)
        self.unused = nn.Linear(2, 2)
        self.register_buffer("index", (torch.arange(17)[:, None] - torch.arange(17)[None]).abs())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        maps = self.stem(pictures)
        maps += F.max_pool2d(maps, 3, stride=1, padding=1)
        tokens = F.avg_pool2d(maps, 2).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        rows, count, width = tokens.shape
        query, key, value = self.qkv(self.norm(tokens)).reshape(rows, count, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = query @ key.transpose(-2, -1) * 0.5 + self.table[self.index.view(-1)].view(17, 17, 2).permute(2, 0, 1)
        mixed = (weights.softmax(dim=-1) @ value).transpose(1, 2).reshape(rows, count, width)
        tokens = tokens + self.drop(mixed) * self.scale
        return self.head(tokens[:, 0])


@pytest.fixture(scope="module")
def captured() -> CapturedModel:
    torch.manual_seed(0)
    return capture(Mixed(), image_shape=SHAPE, num_classes=4)


def test_what_was_replaced_or_left_out_is_told(captured: CapturedModel) -> None:
    told = " ".join(captured.notes)
    assert "1 BatchNorm layer was replaced by GroupNorm" in told
    assert "1 layer of Dropout taken out" in told
    assert "Left out: 2 parameters take no part in the logits, 'unused.bias' first" in told
    assert set(captured.weights) == set(captured.graph.parameters)
    assert {"stem.1.weight", "token", "table"} <= set(captured.weights)


def test_a_captured_graph_holds_no_code_and_reads_back(captured: CapturedModel, tmp_path: Path) -> None:
    text = captured.save(tmp_path / "model.graph.json").read_text()
    assert prove(read_graph(text)).graph == captured.graph
    assert "def forward" not in text
    assert str(Path(__file__).parent) not in text  # of a file, its name alone


def test_each_node_says_where_it_is_written(captured: CapturedModel) -> None:
    sources = {node.operator: node.source for node in captured.graph.nodes}
    assert "test_capture.py:" in sources["softmax"]
    assert sources["conv2d"].startswith("stem.0, ")


def test_its_clipped_sums_are_those_of_the_network_picture_by_picture(captured: CapturedModel) -> None:
    model = captured.build()
    pictures, labels = torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 3, 0])
    expected = one_by_one(model.double(), pictures.double(), labels, 0.05)
    found = BookKeeping(model.float(), 0.05).norms_and_sum(pictures, labels, torch.ones(5, dtype=torch.bool))[1]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)


class Looked(nn.Module):
    """A table of positions that is looked up by products over several letters, as MaxViT does."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2, 3, 5))
        self.head = nn.Linear(192, 4)
        self.register_buffer("heights", torch.randn(4, 3, 3))
        self.register_buffer("widths", torch.randn(6, 2, 5))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        looked = torch.einsum("nhw,ixh->nixw", self.table, self.heights)
        looked = torch.einsum("nixw,jyw->nijxy", looked, self.widths)  # 2 x 4 x 6 x 3 x 2 numbers
        return self.head(pictures.flatten(1) + looked.sum(dim=(3, 4)).flatten().expand(4, 48).reshape(1, 192))


def test_a_table_is_looked_up_by_products_over_several_letters() -> None:
    torch.manual_seed(1)
    model = capture(Looked(), image_shape=SHAPE, num_classes=4).build()
    pictures, labels = torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2])
    expected = one_by_one(model.double(), pictures.double(), labels, 0.05)
    found = BookKeeping(model.float(), 0.05).norms_and_sum(pictures, labels, torch.ones(3, dtype=torch.bool))[1]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    assert norm_of(expected[:1]) > 0  # of the table


class Positions(nn.Module):
    """A table of positions that is looked up once for each picture, by an index of as many rows as the batch has.

    Args:
        later: What is done to the index on its way to the table.
        settings: Of the table.
    """

    def __init__(self, later: Callable[[torch.Tensor], torch.Tensor] = lambda index: index, **settings: Any) -> None:
        super().__init__()
        self.later = later
        self.table = nn.Embedding(16, 3, **settings)
        self.head = nn.Linear(48, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        tokens = F.avg_pool2d(pictures, 2).flatten(2).transpose(1, 2)
        index = self.later(torch.arange(15, -1, -1).expand(pictures.shape[0], -1))
        return self.head((tokens * self.table(index)).flatten(1))


@pytest.mark.parametrize("kind", ["own", "vit_small"])
def test_a_table_that_is_looked_up_once_for_each_picture_is_captured(kind: str) -> None:
    torch.manual_seed(2)
    shape, network = SHAPE, Positions()
    if kind == "vit_small":  # the built-in model itself, small
        shape = (28, 28, 3)
        network = build_model(ModelSpec(kind, shape, 4, options={"depth": 1, "width": 64}))
    model = capture(network, image_shape=shape, num_classes=4).build()
    pictures, labels = torch.randn(3, 3, *shape[:2]), torch.tensor([0, 1, 2])
    own = dict(network.named_parameters())
    assert {name for name, _ in model.named_parameters()} == set(own)
    names = [name for name, _ in model.named_parameters()]
    expected = one_by_one(network.double(), pictures.double(), labels, 0.05)  # by the network, not by its graph
    expected = [dict(zip(own, expected, strict=True))[name] for name in names]
    found = BookKeeping(model, 0.05).norms_and_sum(pictures, labels, torch.ones(3, dtype=torch.bool))[1]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    assert norm_of([dict(zip(names, expected, strict=True))[next(n for n in names if "table" in n or "pos" in n)]]) > 0


@pytest.mark.parametrize("size", [24, 32, 40])
def test_the_built_in_scattering_is_captured_in_real_numbers(size: int) -> None:
    shape = (28, 28, 1)
    torch.manual_seed(2)
    network = build_model(ModelSpec("scattering_linear", shape, 4, options={"size": size}))
    nn.init.normal_(network.get_parameter("head.weight"))
    captured = capture(network, image_shape=shape, num_classes=4)
    assert any("in real numbers" in note for note in captured.notes)
    assert set(captured.graph.parameters) == {"head.weight", "head.bias"}
    pictures = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        wanted, found = network(pictures), captured.build()(pictures)
    assert (wanted - found).abs().max() <= 1e-3 * wanted.abs().max()
    assert spec_of(captured.graph.to_json()).is_own  # it has room in a plan


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Positions(lambda index: index + 0), "as many rows as the batch"),
        (Positions(lambda index: index.flip(0)), "as many rows as the batch"),
        (Positions(lambda index: index.new_zeros(index.shape[0], 16)), "as many rows as the batch"),
        (Positions(padding_idx=3), "padding_idx"),
        (Positions(scale_grad_by_freq=True), "scale_grad_by_freq"),
    ],
)
def test_rows_of_a_batch_that_are_anything_but_looked_up_are_refused(network: nn.Module, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        capture(network, image_shape=SHAPE, num_classes=4)


def test_the_network_itself_is_left_as_it_is() -> None:
    network = Mixed().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    capture(network, image_shape=SHAPE, num_classes=4)
    assert isinstance(network.stem[1], nn.BatchNorm2d)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Refused(nn.Module):
    """A linear network with one line of its own between features and logits."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.head = nn.Linear(192, 4)
        self.line = line

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        found = pictures.flatten(1)
        return self.head(LINES[self.line][0](found))


LINES = [
    (lambda x: x - x.mean(dim=0), "reduces over axis 0"),
    (lambda x: x.softmax(dim=0), "normalises over axis 0"),
    (lambda x: x.roll(1, 0), "rolls over axis 0"),
    (lambda x: x.flip(0), "flips over axis 0"),
    (lambda x: x + x[:1], "some of the pictures"),
    (lambda x: x + x[0], "one of the pictures"),
    (lambda x: x / x.shape[0], "batch size"),
    (lambda x: x / len(x), "cannot be traced"),
    (lambda x: x @ x.t() @ x, "batch size in another way"),
    (lambda x: x + torch.rand_like(x), "random numbers"),
    (lambda x: x.sort(dim=0).values, "orders the numbers"),
    (lambda x: x.roll(1), "rolls over all axes"),
    (lambda x: x if x.sum() > 0 else -x, "cannot be traced"),
    (lambda x: x.double().float(), "float64"),
]


@pytest.mark.parametrize("line", range(len(LINES)))
def test_what_would_let_pictures_meet_is_refused(line: int) -> None:
    with pytest.raises(GraphError, match=LINES[line][1]) as refused:
        capture(Refused(line), image_shape=SHAPE, num_classes=4)
    assert "test_capture.py:" in refused.value.public


class Choosing(nn.Module):
    """A linear layer that is chosen by the numbers of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(192, 4)

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        return self.linear(found if found.sum() > 0 else -found)


def test_what_stops_the_tracer_is_told_with_its_module_and_line() -> None:
    network = nn.Sequential(nn.Flatten(), Choosing())
    with pytest.raises(GraphError, match=r"be traced .* at 1, test_capture.py:\d+: return self.linear\(found"):
        capture(network, image_shape=SHAPE, num_classes=4)


class NotFinite(nn.Module):
    """A network whose logits are no numbers: all comparisons with them are false."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.log(-torch.exp(self.head(pictures.flatten(1))))


def test_a_network_whose_logits_are_not_finite_is_refused() -> None:
    with pytest.raises(GraphError, match="are not finite"):
        capture(NotFinite(), image_shape=SHAPE, num_classes=4)


def test_a_graph_that_computes_no_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    carried_out = GraphModel.forward
    monkeypatch.setattr(GraphModel, "forward", lambda self, pictures: carried_out(self, pictures) * math.nan)
    with pytest.raises(GraphError, match="other logits"):
        capture(make(), image_shape=SHAPE, num_classes=4)


def make() -> nn.Module:
    """What a command line names."""
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))


def test_a_command_line_says_what_it_traces_and_captures_what_a_function_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ["capture", "own_network:make", "--image_shape", "8x8x3", "--num_classes", "4", "--out", "own.graph.json"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("Tracing own_network:make ...\n2 operators, 772 trained numbers;")
    assert read_graph((tmp_path / "own.graph.json").read_text()).parameters == {"1.bias": (4,), "1.weight": (4, 192)}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def make(width):\n    pass\n", "called without arguments, makes nothing .TypeError: .*'width'"),
        ("def make():\n    return 1 / 0\n", r"makes nothing at own_stopped\.py:2: return 1 / 0 .ZeroDivisionError"),
        ("import nowhere_at_all\n", r"Expected MODULE:FUNCTION .* at own_stopped\.py:1: import nowhere_at_all"),
        ("def make(:\n", r"Expected MODULE:FUNCTION .*SyntaxError: .*own_stopped\.py, line 1"),
    ],
)
def test_own_code_that_raises_is_told_with_its_line(
    code: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_stopped.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_stopped", raising=False)
    with pytest.raises(GraphError, match=told):
        capture_named("own_stopped:make", image_shape=SHAPE, num_classes=4)


def test_what_is_written_as_several_operators_is_told() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.PReLU(4), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert captured.notes == (
        "Written as several operators each, which compute the same: 1 adaptive_avg_pool1d, 1 conv1d, 1 prelu.",
    )
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert capture(plain, image_shape=SHAPE, num_classes=4).notes == ()


def test_a_shape_with_the_channels_first_is_told_the_right_way_round(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "own_network:make", "--image_shape", "3x64x32", "--num_classes", "4"]) != 0
    assert "has the channels first. They come last here: 64x32x3." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nowhere_at_all:make", f"{__name__}:nothing", f"{__name__}:SHAPE", "", f"{__name__}"])
def test_a_name_that_makes_no_network_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match=r"Expected MODULE:FUNCTION|must make"):
        capture_named(name, image_shape=SHAPE, num_classes=4)


def test_an_instance_norms_running_statistics_are_left_out_and_told_and_frozen_ones_stay() -> None:
    class Frozen(nn.Module):
        def __init__(self, *, frozen: bool) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
            self.norm, self.frozen = nn.InstanceNorm2d(4, affine=True, track_running_stats=True), frozen
            self.norm.running_mean += 0.3
            self.norm.running_var *= 2.0

        def train(self, mode: bool = True) -> Self:
            super().train(mode)
            self.norm.train(mode and not self.frozen)
            return self

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.stem(pictures)).relu().mean((2, 3)))

    for frozen in (False, True):
        captured = capture(network := Frozen(frozen=frozen), image_shape=SHAPE, num_classes=4)
        assert any("keeps no running statistics" in note for note in captured.notes) is not frozen
        assert network.norm.track_running_stats
        check_each_picture(network.train(), captured, SHAPE)
