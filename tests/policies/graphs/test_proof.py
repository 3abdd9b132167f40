"""Shapes and costs of graphs are computed here, and what a graph says of itself is believed nowhere."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from support.graphs import Builder, small_graph

from policies.errors import GraphError
from policies.graphs.graph import PICTURES, Graph, Node
from policies.graphs.limits import LIMITS
from policies.graphs.operators import OPERATORS
from policies.graphs.proof import prove
from policies.graphs.values import spelled


def test_the_cost_of_a_small_graph_can_be_counted_by_hand() -> None:
    proof = prove(small_graph())
    # 8 maps of 8 by 8, each number of 27 products; norm and ReLU one each; the mean one for each of 8; 4 logits of 8.
    assert proof.multiplications == 512 * 27 + 512 + 512 + 8 + 4 * 8
    assert proof.activation_numbers == 3 * 512 + 8 + 4
    assert proof.parameter_numbers == 8 * 27 + 8 + 8 + 8 + 4 * 8 + 4


def test_pictures_are_followed_through_windows_and_heads() -> None:
    builder = Builder((8, 8, 6))
    value = builder.add("permute", PICTURES, axes=[0, 2, 3, 1])
    value = builder.add("reshape", value, shape=[["B", 1], 2, 4, 2, 4, 6])
    value = builder.add("permute", value, axes=[0, 1, 3, 2, 4, 5])
    value = builder.add("reshape", value, shape=[["B", 4], 16, 6])
    value = builder.linear(value, "qkv", 6, 36)
    value = builder.add("reshape", value, shape=[["B", 4], 16, 3, 2, 6])
    value = builder.add("permute", value, axes=[2, 0, 3, 1, 4])
    parts = [builder.add("slice", value, axis=0, start=i, stop=i + 1, step=1) for i in range(3)]
    heads = [builder.add("reshape", part, shape=[["B", 4], 2, 16, 6]) for part in parts]
    value = builder.add("attention", *heads, scale=0.5, causal=False)
    value = builder.add("reshape", value, shape=[["B", 1], 4, 2, 16, 6])
    value = builder.add("mean", value, axes=[1, 2, 3], keep=False)
    builder.linear(value, "head", 6, 4)
    told = [spelled(node.value) for node in prove(builder.graph()).nodes]
    assert told[3:7] == ["(4B, 16, 6)", "(4B, 16, 36)", "(4B, 16, 3, 2, 6)", "(3, 4B, 2, 16, 6)"]
    assert told[-3:] == ["(B, 4, 2, 16, 6)", "(B, 6)", "(B, 4)"]


def test_a_parameter_that_meets_pictures_outside_of_a_layer_is_copied_for_each() -> None:
    builder = Builder()
    maps = builder.convolution(PICTURES, "stem", 3, 8)
    scale = builder.add("reshape", builder.parameter("scale", 8), shape=[8, 1, 1])
    scaled = builder.add("multiply", maps, scale)
    masked = builder.add("add", scaled, builder.constant("float32", (1, 1, 1, 1), [0.5]))
    builder.head(masked, 8)
    proof = prove(builder.graph())
    assert [node.copied for node in proof.nodes] == [(), (), (1,), (), (), ()]
    assert proof.activation_numbers == 3 * 512 + 8 + 8 + 8 + 4


def end(builder: Builder, value: str) -> Graph:
    builder.linear(value, "head", 8, 4)
    return builder.graph()


@pytest.mark.parametrize(
    "name", ["node:5", "node:6", "node:-1", "node:01", "node:1e0", "parameter:x", "constant:x", "x"]
)
def test_a_node_reads_only_what_stands_before_it(name: str) -> None:
    graph = small_graph()
    nodes = list(graph.nodes)
    nodes[2] = Node("relu", (name,), {}, "here")
    with pytest.raises(GraphError, match=r"Node 2 \(relu\), written at here, is refused: its input"):
        prove(replace(graph, nodes=tuple(nodes)))


def test_a_graph_holds_only_what_its_logits_are_made_of() -> None:
    graph = small_graph()
    with pytest.raises(GraphError, match="parameter:more is not used"):
        prove(replace(graph, parameters={**graph.parameters, "more": (1,)}))
    with pytest.raises(GraphError, match="node:4 is not used"):
        prove(replace(graph, nodes=(*graph.nodes, Node("linear", graph.nodes[-1].inputs, {}))))


def test_a_graph_without_parameters_has_nothing_to_train() -> None:
    builder = Builder((1, 1, 4))
    builder.add("reshape", PICTURES, shape=[["B", 1], 4])
    with pytest.raises(GraphError, match="nothing to train"):
        prove(builder.graph())


@pytest.mark.parametrize(
    ("operator", "attributes", "why"),
    [
        ("relu", {"more": 1}, "unknown attribute"),
        ("softmax", {}, "lacks the attribute 'axis'"),
        ("softmax", {"axis": -1}, "whole number from 0 to 7"),
        ("softmax", {"axis": 1.0}, "whole number"),
        ("softmax", {"axis": True}, "whole number"),
        ("softmax", {"axis": 5}, "none of the 4 axes"),
        ("mean", {"axes": [], "keep": True}, "1 to 8 entries"),
        ("mean", {"axes": [1, 1], "keep": True}, "an axis twice"),
        ("mean", {"axes": [1], "keep": 1}, "true or false"),
        ("clamp", {"low": 1.0, "high": 0.0}, "above its high"),
        ("power", {"exponent": 1e9}, "at most 8"),
        ("permute", {"axes": [0, 1, 2]}, "each once"),
        ("permute", {"axes": [0, 1, 2, 2]}, "each once"),
        ("reshape", {"shape": [["B", 1], 513]}, "another number of numbers"),
        ("reshape", {"shape": [["B", 1], -1]}, "from 1 to"),
        ("reshape", {"shape": [["B", 0], 8]}, "from 1 to"),
        ("reshape", {"shape": [["B", 1], ["B", 512]]}, "one at most"),
        ("reshape", {"shape": [["C", 1], 512]}, "one at most"),
        ("expand", {"shape": [["B", 1], 8, 8, 1 << 24]}, "only 1 expands"),
        ("slice", {"axis": 1, "start": 3, "stop": 3, "step": 1}, "3 to 3 of the 8"),
        ("slice", {"axis": 1, "start": 0, "stop": 9, "step": 1}, "0 to 9 of the 8"),
        ("roll", {"axes": [1, 2], "shifts": [1]}, "as many shifts"),
        ("pad", {"before": [0, 1], "after": [0, 1], "number": 0.0}, "each of the 4 axes"),
        ("pad", {"before": [0, 0, 4096, 4096], "after": [0, 0, 4096, 4096], "number": 0.0}, "the limit is"),
        ("adaptive_average_pool2d", {"size": [0, 1]}, "from 1"),
        ("pixel_shuffle", {"factor": 3}, "no multiple"),
        ("pixel_unshuffle", {"factor": 3}, "no multiple"),
        (
            "max_pool2d",
            {"kernel": [9, 9], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "ceil": False},
            "larger than the 8 pixels",
        ),
        (
            "max_pool2d",
            {"kernel": [2, 2], "stride": [1, 1], "padding": [2, 2], "dilation": [1, 1], "ceil": False},
            "more than half",
        ),
        ("group_norm", {"groups": 3, "eps": 1e-5}, "do not divide"),
        ("layer_norm", {"axes": 5, "eps": 1e-5}, "fewer than 5"),
        ("linear", {}, "2 to 3 inputs"),
        ("__import__", {}, "no operator"),
    ],
)
def test_attributes_and_shapes_that_do_not_fit_are_refused(operator: str, attributes: dict[str, Any], why: str) -> None:
    builder = Builder()
    builder.add(operator, builder.convolution(PICTURES, "stem", 3, 8), **attributes)
    with pytest.raises(GraphError, match=why):
        prove(builder.graph())


@pytest.mark.parametrize(
    ("mask", "fits"), [((8, 8), True), ((1, 8), True), ((8, 1), True), ((4, 8), False), ((8, 9), False)]
)
def test_a_mask_is_of_as_many_queries_and_keys_as_there_are(mask: tuple[int, int], fits: bool) -> None:
    builder = Builder()
    maps = builder.convolution(PICTURES, "stem", 3, 8)
    ones = builder.constant("float32", mask, [1.0] * (mask[0] * mask[1]))
    builder.add("attention", maps, maps, maps, ones, scale=0.5, causal=False)
    with pytest.raises(
        GraphError, match="must give logits" if fits else "its mask .* does not fit 8 queries and 8 keys"
    ):
        prove(builder.graph())


@pytest.mark.parametrize("operator", ["add", "divide", "maximum", "minimum", "multiply", "subtract"])
def test_numbers_are_combined_where_shapes_fit(operator: str) -> None:
    for shape, fits in (((1, 8), True), ((1,), True), ((1, 1, 1, 8), True), ((3,), False), ((1, 2, 1, 1), False)):
        builder = Builder()
        maps = builder.convolution(PICTURES, "stem", 3, 8)
        builder.add(operator, maps, builder.parameter("other", *shape))
        with pytest.raises(GraphError, match="must give logits" if fits else "shapes that do not fit"):
            prove(builder.graph())


@pytest.mark.parametrize(("correction", "fits"), [(0, True), (1, False)])
def test_a_variance_is_of_more_numbers_than_its_correction(correction: int, fits: bool) -> None:
    builder = Builder()
    means = builder.add("mean", builder.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=True)
    builder.add("variance", means, axes=[2, 3], keep=True, correction=correction)
    with pytest.raises(GraphError, match="must give logits" if fits else "too few numbers"):
        prove(builder.graph())


def test_a_norm_of_single_numbers_is_refused() -> None:
    # All of its results are 0, and torch refuses it for a batch of one picture and takes it for more.
    builder = Builder()
    features = builder.add("mean", builder.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=False)
    for groups, refused in ((4, False), (8, True)):
        wrong = pytest.raises(GraphError, match="each of its groups has one number")
        tried = Builder()
        tried.parameters, tried.nodes = dict(builder.parameters), list(builder.nodes)
        tried.linear(tried.add("group_norm", features, groups=groups, eps=1e-5), "head", 8, 4)
        with wrong if refused else nullcontext():
            prove(tried.graph())


def test_shapes_cannot_overflow() -> None:
    builder = Builder()
    value = builder.add("mean", builder.convolution(PICTURES, "stem", 3, 8), axes=[1, 2, 3], keep=True)
    builder.add("expand", value, shape=[["B", 1], 1 << 24, 1 << 24, 1 << 24])
    with pytest.raises(GraphError, match=r"4,722,366,482,869,645,213,696 numbers"):
        prove(builder.graph())
    builder = Builder()
    grown = builder.add("reshape", builder.parameter("row", 1), shape=[1, 1, 1, 1])
    builder.add("expand", grown, shape=[1 << 24] * 4)
    with pytest.raises(GraphError, match="the limit is"):
        prove(builder.graph())


def test_many_small_nodes_cannot_exceed_the_limits_together() -> None:
    builder = Builder()
    value = builder.convolution(PICTURES, "stem", 3, 8)
    for _ in range(20):
        value = builder.add("relu", value)
    builder.head(value, 8)
    with pytest.raises(GraphError, match=r"Up to Node 9 \(relu\) the graph makes 5,120 numbers"):
        prove(builder.graph(), replace(LIMITS, activation_numbers=5_000))


@pytest.mark.parametrize(("axes", "masks"), [(2, 0), (3, 6 * 4 * 4)])
def test_a_mask_is_counted_where_it_is_written_for_each_matrix(axes: int, masks: int) -> None:
    """More than two axes before the last two are made two, for which a mask that is repeated is written out."""
    builder = Builder((8, 6, 3), 4)
    shape = [["B", 1], *([6] if axes == 2 else [2, 3]), 4, 6]
    rows = builder.add("reshape", PICTURES, shape=shape)
    mask = builder.constant("float32", (4, 4), [0.0] * 16)
    found = builder.add("attention", rows, rows, rows, mask, scale=1.0, causal=False)
    flat = builder.add("reshape", found, shape=[["B", 1], 144])
    builder.linear(flat, "head", 144, 4)
    own = 3 * 144 + 4  # the values of the nodes
    assert prove(builder.graph()).activation_numbers == own + 6 * 4 * 4 + masks


def test_the_scores_of_an_attention_are_counted() -> None:
    builder = Builder((64, 64, 1))
    rows = builder.add("reshape", PICTURES, shape=[["B", 1], 4096, 1])
    value = builder.add("attention", rows, rows, rows, scale=1.0, causal=False)
    builder.linear(builder.add("mean", value, axes=[1], keep=False), "head", 1, 4)
    assert prove(builder.graph()).activation_numbers == 4096 + 4096 + 4096 * 4096 + 1 + 4
    with pytest.raises(GraphError, match=r"\(attention\) the graph makes 16,785,408 numbers"):
        prove(builder.graph(), replace(LIMITS, activation_numbers=10_000_000))


def matrices_by_matrices(operator: str) -> Builder:
    """Each of 20 rows of a picture with each of 30, 50 numbers long: both are written out for each pair of them."""
    b = Builder((8, 8, 1))
    flat = b.add("reshape", PICTURES, shape=[["B", 1], 64])
    rows = b.add("reshape", b.linear(flat, "rows", 64, 20), shape=[["B", 1], 20, 1, 1, 1])
    columns = b.add("reshape", b.linear(flat, "columns", 64, 30), shape=[["B", 1], 1, 30, 1, 1])
    if operator == "matmul":
        rows = b.add("expand", rows, shape=[["B", 1], 20, 1, 1, 50])
        columns = b.add("expand", columns, shape=[["B", 1], 1, 30, 50, 1])
        pairs = b.add("matmul", rows, columns)
    else:
        rows = b.add("expand", rows, shape=[["B", 1], 20, 1, 1, 50])
        columns = b.add("expand", columns, shape=[["B", 1], 1, 30, 1, 50])
        pairs = b.add("attention", rows, columns, columns, scale=1.0, causal=False)
        pairs = b.add("slice", pairs, axis=4, start=0, stop=1, step=1)
    b.head(b.add("reshape", pairs, shape=[["B", 1], 1, 20, 30]), 1)
    return b


def test_matrices_that_a_product_repeats_are_counted() -> None:
    # What nodes make: rows, columns, both expanded, the pairs and their shape; and each side of a pair written out.
    made = 64 + 2 * (20 + 30) + 50 * (20 + 30) + 2 * 600 + 1 + 4
    assert prove(matrices_by_matrices("matmul").graph()).activation_numbers == made + 2 * 600 * 50
    made += 600 * 50 + 600
    assert prove(matrices_by_matrices("attention").graph()).activation_numbers == made + 3 * 600 * 50
    with pytest.raises(GraphError, match=r"\(matmul\) the graph makes 63,\d\d\d numbers"):
        prove(matrices_by_matrices("matmul").graph(), replace(LIMITS, activation_numbers=50_000))


def test_a_constant_matrix_for_all_pictures_is_not_counted_again() -> None:
    b = Builder((8, 8, 1))
    maps = b.convolution(PICTURES, "stem", 1, 3)
    turned = b.add("matmul", b.constant("float32", (5, 8), [0.5] * 40), maps)
    b.head(b.add("matmul", turned, b.constant("float32", (1, 1, 8, 5), [0.5] * 40)), 3)
    assert prove(b.graph()).activation_numbers == 3 * 64 + 3 * 40 + 3 * 25 + 3 + 4


def chain(length: int) -> Graph:
    """Values that are computed from a parameter, each from the one before, and each of which pictures meet."""
    builder = Builder()
    maps, shift = builder.convolution(PICTURES, "stem", 3, 8), builder.parameter("shift", 8, 1, 1)
    for _ in range(length):
        shift = builder.add("tanh", shift)
        maps = builder.add("add", maps, shift)
    builder.head(maps, 8)
    return builder.graph()


def test_what_is_computed_from_parameters_counts_as_often_as_it_is_computed() -> None:
    found = prove(chain(5))
    # Each addition has a copy of its shift; for the k-th the chain is computed from its first value to its k-th.
    assert found.activation_numbers == 512 + 5 * (512 + 8) + (1 + 2 + 3 + 4 + 5) * 8 + 8 + 4
    with pytest.raises(GraphError, match=r"\(add\) the graph carries out 5,0\d\d nodes"):
        prove(chain(150))


@pytest.mark.parametrize("ends", [[-1, 0], [0, 8], [1 << 62, 0]])
def test_an_index_stays_within_its_axis(ends: list[int]) -> None:
    builder = Builder()
    features = builder.add("mean", builder.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=False)
    index = builder.constant("int64", (2,), ends)
    builder.add("take", features, index, axis=1)
    with pytest.raises(GraphError, match="of 8 along the axis"):
        prove(builder.graph())


def test_whole_numbers_and_truth_are_not_computed_with() -> None:
    for kind, values in (("int64", [1]), ("bool", [True])):
        builder = Builder()
        builder.add("add", PICTURES, builder.constant(kind, (1, 1, 1, 1), values))
        with pytest.raises(GraphError, match="computes with float32"):
            prove(builder.graph())


def test_a_source_that_would_be_obeyed_is_shown() -> None:
    builder = Builder()
    builder.add("sort", PICTURES, source="x" * 150 + "\x1b[2J")
    with pytest.raises(GraphError) as refused:
        prove(builder.graph())
    assert "\x1b" not in refused.value.public


def test_every_operator_says_what_it_does_and_what_it_asks_of_the_pictures() -> None:
    assert len(OPERATORS) > 50
    assert all(operator.does and operator.pictures for operator in OPERATORS.values())
