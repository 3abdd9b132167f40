"""What people see of a graph: its blocks, the built-in model that it is like, and where the parts of a picture lie."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations

import pytest
from support.graphs import Builder, small_graph, windows

from policies.graphs.graph import PICTURES, Graph
from policies.graphs.overview.blocks import Block, blocks_of
from policies.graphs.overview.drawing import MOST_BOXES, WIDTH, drawing_of
from policies.graphs.overview.nearest import LAYERS_FILE, common_layers, layers_of, nearest
from policies.graphs.proof import prove
from policies.graphs.summary import summary_of
from policies.plans.model_options import MODELS


def residual(times: int) -> Graph:
    """A stem, so many branches that are added to what they read, and a head."""
    builder = Builder()
    maps = builder.add("relu", builder.convolution(PICTURES, "stem", 3, 8))
    for number in range(times):
        branch = builder.add("relu", builder.convolution(maps, f"body.{number}.one", 8, 8))
        branch = builder.convolution(branch, f"body.{number}.two", 8, 8)
        maps = builder.add("relu", builder.add("add", branch, maps))
    builder.head(maps, 8)
    return builder.graph()


def test_a_branch_and_what_it_is_added_to_are_one_block_and_equal_ones_are_counted() -> None:
    stem, body, pooled, head = blocks_of(prove(residual(5)))
    assert (stem.name, dict(stem.kinds), stem.ways, stem.times) == ("stem", {"conv2d": 1, "relu": 1}, 1, 1)
    assert (body.name, body.ways, body.times) == ("body.0", 2, 5)
    assert dict(body.kinds) == {"add": 1, "conv2d": 2, "relu": 2}
    assert (body.makes, body.parameters) == ("(B, 8, 8, 8)", 2 * (8 * 8 * 9 + 8))
    assert (pooled.name, dict(pooled.kinds), pooled.parameters) == ("", {"mean": 1}, 0)
    assert (head.name, head.makes, head.times) == ("head", "(B, 4)", 1)


def test_parts_of_one_module_are_told_apart_by_the_first_and_the_last_that_they_hold() -> None:
    builder = Builder()
    maps = builder.convolution(PICTURES, "body.0", 3, 8)
    scale, shift = builder.parameter("body.1.weight", 8), builder.parameter("body.1.bias", 8)
    maps = builder.add("group_norm", maps, scale, shift, groups=2, eps=1e-5)
    maps = builder.convolution(builder.add("relu", maps), "body.3", 8, 8)
    scale, shift = builder.parameter("body.4.weight", 8), builder.parameter("body.4.bias", 8)
    builder.head(builder.add("group_norm", maps, scale, shift, groups=2, eps=1e-5), 8)
    assert [block.name for block in blocks_of(prove(builder.graph()))] == [
        *("body.0 … body.1", "body.3 … body.4"),
        *("", "head"),
    ]


@pytest.mark.parametrize("graph", [small_graph(), windows(), residual(3)], ids=["layers", "windows", "residual"])
def test_every_node_is_in_one_block_and_figures_add_up(graph: Graph) -> None:
    proof = prove(graph)
    blocks = blocks_of(proof)
    kinds: Counter[str] = Counter()
    for block in blocks:
        for name, count in block.kinds.items():
            kinds[name] += count * block.times
    assert kinds == Counter(node.operator for node in proof.nodes)
    assert sum(block.parameters * block.times for block in blocks) == proof.parameter_numbers
    assert sum(b.multiplications * b.times for b in blocks) == sum(node.multiplications for node in proof.nodes)


def test_the_layers_of_a_built_in_model_are_those_in_the_file() -> None:
    known = json.loads(LAYERS_FILE.read_text())
    assert set(known) < set(MODELS)
    assert all(known.values())


def test_a_network_of_a_built_in_models_layers_is_like_that_one() -> None:
    b = Builder()
    maps = PICTURES
    for number, word in enumerate(_layers("small_cnn")):
        operator, *shapes = word.split()
        if operator == "linear":
            continue
        sizes = [tuple(map(int, shape.split("x"))) for shape in shapes]
        names = [b.parameter(f"l{number}.{place}", *size) for place, size in enumerate(sizes)]
        if operator == "conv2d":
            settings = {"stride": [1, 1], "padding": [sizes[0][2] // 2] * 2, "dilation": [1, 1], "groups": 1}
            maps = b.add(operator, maps, *names, **settings)
        elif operator == "group_norm":
            maps = b.add(operator, maps, *names, groups=1, eps=1e-5)
    b.head(maps, b.parameters[list(b.parameters)[-1]][0])
    found = nearest(prove(b.graph()))
    assert found is not None
    assert (found.name, found.built_in - found.common) == ("small_cnn", 1)  # all but the head
    assert found.likeness == 2 * found.common / (found.own + found.built_in)


def test_a_network_without_a_layer_of_any_built_in_model_is_like_none() -> None:
    assert nearest(prove(small_graph())) is None


def test_common_layers_are_the_longest_sequence_in_both() -> None:
    def longest(one: str, other: str) -> int:
        for size in range(len(one), 0, -1):
            wanted = {"".join(chosen) for chosen in combinations(one, size)}
            if wanted & {"".join(chosen) for chosen in combinations(other, size)}:
                return size
        return 0

    for one, other in [("abcbdab", "bdcaba"), ("aaaa", "aa"), ("abc", "xyz"), ("abcd", "dcba"), ("", "ab")]:
        assert common_layers(one, other) == longest(one, other), (one, other)


def test_layers_are_told_by_operator_and_shapes() -> None:
    assert layers_of(prove(small_graph())) == ("conv2d 8x3x3x3 8", "group_norm 8 8", "linear 4x8 4")


def test_a_weight_that_is_computed_from_trained_numbers_is_a_part_of_the_layer_that_pictures_meet() -> None:
    builder = Builder()
    names = [f"stem.parametrizations.weight.original{number}" for number in (0, 1)]
    length, direction = builder.parameter(names[0], 8, 1, 1, 1), builder.parameter(names[1], 8, 3, 3, 3)
    norm = builder.add("norm", direction, axes=[1, 2, 3], keep=True)
    weight = builder.add("multiply", builder.add("divide", length, norm), direction)
    maps = builder.add("conv2d", PICTURES, weight, stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1)
    builder.head(maps, 8)
    proof = prove(builder.graph())
    assert layers_of(proof) == ("conv2d 8x1x1x1 8x3x3x3", "linear 4x8 4")
    stem, head = summary_of(proof).layers
    assert (stem.name, stem.operator, stem.makes, stem.parameters) == ("stem", "conv2d", "(B, 8, 8, 8)", 8 + 8 * 27)
    assert stem.parameters + head.parameters == proof.parameter_numbers
    assert stem.multiplications + head.multiplications == proof.multiplications - 8  # the mean over places is no layer


def test_boxes_lie_below_each_other_and_texts_are_cut_to_fit() -> None:
    long = Block("x" * 150, {f"operator_{number:03}": 7 for number in range(60)}, "(B, 8)", 5, 1, 3, 2)
    drawing = drawing_of([long, *[Block("y", {"relu": 1}, "(B, 8)", 0, 1, 1)] * MOST_BOXES])
    assert (len(drawing.boxes), drawing.left_out) == (MOST_BOXES, 1)
    ends = [0, *(box.y + box.height for box in drawing.boxes)]
    assert all(box.y > end for box, end in zip(drawing.boxes, ends, strict=False))
    assert drawing.height > ends[-1]
    first = drawing.boxes[0]
    assert (len(first.title.text), first.title.text[-2:], first.parameters) == (27, "×2", 10)
    assert max(len(line.text) for line in first.lines) <= 44
    assert len(first.lines) == 4 and first.lines[2].text.endswith("…")
    assert first.around and not drawing.boxes[1].around
    assert drawing.left + drawing.width < WIDTH
    assert drawing_of([]).boxes == ()


def _layers(name: str) -> list[str]:
    found: list[str] = json.loads(LAYERS_FILE.read_text())[name]
    return found
