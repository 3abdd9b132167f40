"""What a graph computes is what it says, picture by picture, and its private gradients are those of plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, one_by_one
from support.graph_oracle import RandomGraph, one_at_a_time, pictures_of, weighted
from support.graphs import Builder, attention_of, comparing, small_graph, windows

from datasites.training.book_keeping import BookKeeping
from datasites.training.graphs import GraphModel, functions
from datasites.training.graphs.functions import FUNCTIONS
from policies.errors import GraphError
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.operators import OPERATORS
from policies.graphs.proof import prove
from policies.graphs.reading import read_graph

SEEDS = range(40)
FAR = 1e9  # no gradient is that long


def test_every_operator_has_a_function() -> None:
    assert set(FUNCTIONS) | {"reshape", "expand"} == set(OPERATORS)


def test_the_gradient_of_a_clamp_is_that_of_a_relu6_at_its_ends_too() -> None:
    numbers = torch.tensor([-1.0, 0.0, 3.0, 6.0, 7.0, torch.nan])
    found, expected = (numbers.clone().requires_grad_() for _ in range(2))
    clamped = FUNCTIONS["clamp"]({"low": 0.0, "high": 6.0}, (found,))
    clamped.sum().backward()
    F.relu6(expected).sum().backward()
    assert clamped[:5].tolist() == [0, 0, 3, 6, 6] and clamped[5].isnan()
    assert found.grad is not None and expected.grad is not None
    assert found.grad[:5].tolist() == expected.grad[:5].tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_of_a_random_graph_is_its_pictures_one_by_one(seed: int) -> None:
    graph = RandomGraph(seed).graph()
    model = weighted(read_graph(graph.to_json()), seed)
    for count in (2, 5):
        pictures = pictures_of(graph, count, seed)
        together = model(pictures)
        assert together.shape == (count, 3)
        torch.testing.assert_close(together, one_at_a_time(model, pictures), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shapes_of_the_proof_are_those_that_torch_makes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = RandomGraph(seed).graph()
    model, seen = weighted(graph, seed), []
    layer = GraphModel._layer

    def watched(self: GraphModel, node: object, inputs: object, rows: int) -> torch.Tensor:
        found = layer(self, node, inputs, rows)  # type: ignore[arg-type]
        seen.append((node, tuple(found.shape)))
        return found

    monkeypatch.setattr(GraphModel, "_layer", watched)
    model(pictures_of(graph, 7, seed))
    assert seen
    for node, shape in seen:
        value = node.value  # type: ignore[attr-defined]
        assert shape == tuple(size * 7 if axis == value.batch else size for axis, size in enumerate(value.shape))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("views", [1, 2])
def test_sums_of_a_random_graph_are_those_of_plain_autograd(seed: int, views: int) -> None:
    graph = RandomGraph(seed, length=8).graph()
    model = weighted(graph, seed)
    pictures, labels = pictures_of(graph, 3 * views, seed), torch.tensor([0, 2, 1])
    counted = torch.ones(3, dtype=torch.bool)
    expected = one_by_one(model, pictures, labels, FAR, views)
    norms, found = BookKeeping(model, FAR).norms_and_sum(pictures, labels, counted)
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    each = [norm_of(one_by_one(model, pictures[i::3], labels[[i]], FAR, views)) for i in range(3)]
    for norm, truth in zip(norms.tolist(), each, strict=True):
        assert truth * (1 - 1e-4) <= norm <= truth * (1 + 1e-2)  # a norm that rounding hides is told too long


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_of_no_picture_more_than_the_bound_is_summed(seed: int) -> None:
    graph = RandomGraph(seed, length=8).graph()
    model = weighted(graph, seed).float()
    pictures, labels = pictures_of(graph, 3, seed).float(), torch.tensor([0, 2, 1])
    for one in range(3):
        counted = torch.arange(3) == one
        assert norm_of(BookKeeping(model, 1e-3).norms_and_sum(pictures, labels, counted)[1]) <= 1e-3


def test_random_graphs_use_nearly_every_operator() -> None:
    used = set().union(*(RandomGraph(seed).used for seed in SEEDS))
    assert set(OPERATORS) - used <= {"square_root"}


@pytest.mark.parametrize("lead", [(), (2,), (2, 4), (2, 1, 2)])
def test_an_attention_with_any_number_of_axes_before_is_each_pictures_own(lead: tuple[int, ...]) -> None:
    graph = attention_of(*lead)
    model, pictures, labels = weighted(graph, 0), pictures_of(graph, 3, 1), torch.tensor([0, 2, 1])
    torch.testing.assert_close(model(pictures), one_at_a_time(model, pictures), rtol=1e-9, atol=1e-9)
    expected = one_by_one(model, pictures, labels, 0.05)
    found = BookKeeping(model, 0.05).clipped_sum(pictures, labels, torch.ones(3, dtype=torch.bool))
    assert distance(found, expected) <= 1e-5 * norm_of(expected)


@pytest.mark.parametrize("graph", [small_graph(), windows(), comparing()])
def test_in_float32_norms_and_clipped_sums_differ_by_a_hundred_thousandth_at_most(graph: Graph) -> None:
    model = weighted(graph, 0)
    pictures, labels = pictures_of(graph, 6, 1), torch.tensor([0, 1, 2, 3, 0, 1])
    expected = one_by_one(model, pictures, labels, 0.05)
    own = [norm_of(one_by_one(model, pictures[[i]], labels[[i]], 1e9)) for i in range(6)]
    norms, found = BookKeeping(model.float(), 0.05).norms_and_sum(
        pictures.float(), labels, torch.ones(6, dtype=torch.bool)
    )
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    torch.testing.assert_close(norms, torch.tensor(own, dtype=torch.float64), rtol=1e-5, atol=0)


def test_the_engine_finds_nothing_that_it_has_no_rule_for() -> None:
    for graph in (windows(), comparing(), *(RandomGraph(seed).graph() for seed in SEEDS)):
        model = GraphModel(prove(graph))
        height, width, channels = graph.image_shape
        BookKeeping(model, 1.0).check(torch.empty(1, channels, height, width, device="meta"))


def test_parameters_have_the_names_and_shapes_of_the_graph() -> None:
    graph = windows()
    shapes = {name: tuple(parameter.shape) for name, parameter in GraphModel(prove(graph)).named_parameters()}
    assert shapes == dict(graph.parameters)


@pytest.mark.parametrize("name", ["forward", "training", "_values.weight", "forward.weight", "_modules.x"])
def test_a_parameter_cannot_take_the_place_of_a_part_of_the_model(name: str) -> None:
    b = Builder()
    b.head(b.add("multiply", b.convolution(PICTURES, "stem", 3, 8), b.parameter(name, 1)), 8)
    with pytest.raises(GraphError, match="keeps for itself"):
        GraphModel(prove(b.graph()))


@pytest.mark.parametrize("name", ["_from_parameters", "constant_{digest}", "constant_{digest}.weight"])
def test_nor_the_place_of_what_the_interpreter_keeps_of_the_graph(name: str) -> None:
    b = Builder()
    constant = b.constant("float32", (8, 1, 1), [1.0] * 8)
    maps = b.add("multiply", b.convolution(PICTURES, "stem", 3, 8), constant)
    own = b.parameter(name.format(digest=constant.removeprefix("constant:")), 1)
    b.head(b.add("multiply", maps, own), 8)
    with pytest.raises(GraphError, match="keeps for itself"):
        GraphModel(prove(b.graph()))


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("uses", [1, 2])
def test_a_parameter_of_a_single_number_has_its_gradients_picture_by_picture(uses: int, views: int) -> None:
    b = Builder()
    maps, scale = b.convolution(PICTURES, "stem", 3, 8), b.parameter("scale")
    for _ in range(uses):
        maps = b.add("multiply", maps, scale)
    b.head(maps, 8)
    model = weighted(b.graph(), 0)
    with torch.no_grad():
        model.get_parameter("scale").fill_(2.0)
    pictures, labels = pictures_of(b.graph(), 3 * views, 0), torch.tensor([0, 2, 1])
    expected = one_by_one(model, pictures, labels, 0.05, views)
    norms, found = BookKeeping(model, 0.05).norms_and_sum(pictures, labels, torch.ones(3, dtype=torch.bool))
    assert [one.shape for one in found] == [one.shape for one in model.parameters()]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    own = [norm_of(one_by_one(model, pictures[i::3], labels[[i]], FAR, views)) for i in range(3)]
    torch.testing.assert_close(norms, torch.tensor(own, dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("views", [1, 2])
def test_parameters_that_meet_pictures_in_one_operator_have_their_gradients_picture_by_picture(views: int) -> None:
    builder = Builder((4, 4, 3), 3)
    query = builder.add("reshape", PICTURES, shape=[["B", 1], 3, 16])
    rows = builder.linear(query, "query", 16, 5)
    key, value = builder.parameter("key", 2, 5), builder.parameter("value", 2, 4)
    mask = builder.parameter("mask", 3, 2)
    found = builder.add("attention", rows, key, value, mask, scale=0.5, causal=False)
    both = builder.add("where", builder.constant("bool", (4,), [True, False] * 2), found, builder.parameter("else", 4))
    builder.linear(builder.add("reshape", both, shape=[["B", 1], 12]), "head", 12, 3)
    graph = builder.graph()
    model, pictures, labels = weighted(graph, 3), pictures_of(graph, 3 * views, 4), torch.tensor([0, 2, 1])
    expected = one_by_one(model, pictures, labels, 0.05, views)
    found_sums = BookKeeping(model, 0.05).clipped_sum(pictures, labels, torch.ones(3, dtype=torch.bool))
    assert distance(found_sums, expected) <= 1e-5 * norm_of(expected)


def test_an_index_of_a_single_number_is_taken_where_tensors_have_no_numbers() -> None:
    b = Builder()
    maps = b.convolution(PICTURES, "stem", 3, 8)
    row = b.add("take", maps, b.constant("int64", (), [2]), axis=2)
    b.linear(b.add("mean", row, axes=[2], keep=False), "head", 8, 4)
    model = weighted(b.graph(), 0)
    BookKeeping(model, 1.0).check(torch.empty(1, 3, 8, 8, device="meta"))
    pictures = pictures_of(b.graph(), 2, 0)
    own = dict(model.named_parameters())
    rows = F.conv2d(pictures, own["stem.weight"], own["stem.bias"], padding=1)[:, :, 2].mean(2)
    torch.testing.assert_close(model(pictures), F.linear(rows, own["head.weight"], own["head.bias"]))


def test_nothing_of_a_graph_but_its_parameters_is_in_a_state() -> None:
    graph = windows()
    assert set(GraphModel(prove(graph)).state_dict()) == set(graph.parameters)


@pytest.mark.parametrize("padding", [(2, 2), (2, 0), (0, 2)])
def test_windows_of_padding_alone_are_padded_before_the_library_is_asked(
    padding: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    convolution = functions.F.conv2d

    def noted(*given: Any) -> torch.Tensor:
        asked.append(given[4])
        found: torch.Tensor = convolution(*given)
        return found

    monkeypatch.setattr(functions.F, "conv2d", noted)
    image, weight, bias = torch.randn(3, 6, 8, 8), torch.randn(2, 6, 1, 1), torch.randn(2)
    form = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": 1}
    found = FUNCTIONS["conv2d"](form, (image, weight, bias))
    wanted = convolution(functions.F.pad(image, (padding[1], padding[1], padding[0], padding[0])), weight, bias)
    torch.testing.assert_close(found, wanted)
    FUNCTIONS["conv2d"]({**form, "padding": (0, 0)}, (image, weight, bias))
    assert asked == [(0, 0), (0, 0)]
