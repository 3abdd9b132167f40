"""Graphs in which pictures would meet are refused, each for its own reason and with the place where it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.graphs import Builder

from policies.errors import GraphError
from policies.graphs.graph import PICTURES
from policies.graphs.proof import prove

SOURCE = "blocks.0, network.py:12: y = mix(x)"
# What couples pictures, and words of the refusal. `m` are maps (B, 8, 8, 8), `f` features (B, 8), `w` windows (4B, 8),
# `h` heads (2, B, 8, 4), with the pictures second.
Coupling = Callable[[Builder, dict[str, str]], str]


def simple(operator: str, value: str, **attributes: Any) -> Coupling:
    return lambda b, v: b.add(operator, v[value], source=SOURCE, **attributes)


def both(operator: str, one: str, other: str, **attributes: Any) -> Coupling:
    return lambda b, v: b.add(operator, v[one], v[other], source=SOURCE, **attributes)


def permuted(value: str, axes: list[int]) -> Callable[[Builder, dict[str, str]], str]:
    return lambda b, v: b.add("permute", v[value], axes=axes)


def after(change: Coupling, operator: str, *more: str, **attributes: Any) -> Coupling:
    """An operator on a changed value, with further values."""
    return lambda b, v: b.add(operator, change(b, v), *(v[name] for name in more), source=SOURCE, **attributes)


def constant_rows(b: Builder, v: dict[str, str]) -> str:
    """A mask of a row for each of four pictures: it fits batches of four alone."""
    return b.add("multiply", v["f"], b.constant("float32", (4, 8), [1.0] * 32), source=SOURCE)


def picked(b: Builder, v: dict[str, str]) -> str:
    return b.add("take", v["f"], b.constant("int64", (2,), [0, 0]), axis=0, source=SOURCE)


def index_of_pictures(b: Builder, v: dict[str, str]) -> str:
    return b.add("take", b.parameter("table", 9, 8), v["f"], axis=0, source=SOURCE)


def weight_of_pictures(operator: str, **attributes: Any) -> Coupling:
    def couple(b: Builder, v: dict[str, str]) -> str:
        return b.add(operator, v["f"], v["f"], source=SOURCE, **attributes)

    return couple


def joined_with_parameter(b: Builder, v: dict[str, str]) -> str:
    return b.add("concatenate", v["f"], b.parameter("row", 1, 8), axis=0, source=SOURCE)


def mask_condition(b: Builder, v: dict[str, str]) -> str:
    return b.add("where", v["f"], v["f"], v["f"], source=SOURCE)


def reshaped(value: str, *shape: Any) -> Coupling:
    return lambda b, v: b.add("reshape", v[value], shape=list(shape))


def _across(b: Builder, v: dict[str, str]) -> str:
    """Features with the pictures second, (1, B, 8)."""
    return b.add("reshape", v["f"], shape=[1, ["B", 1], 8])


SECOND = permuted("m", [1, 0, 2, 3])
# All pictures' numbers in a row, and all pictures' channels as those of one.
ROW = reshaped("f", ["B", 8])
FOLDED = reshaped("m", 1, ["B", 8], 8, 8)
LAST = permuted("f", [1, 0])
SHAPE_OF_ALL: dict[str, Any] = {"shape": [1, 8]}
COUPLED: dict[str, tuple[Coupling, str]] = {
    "mean over pictures": (simple("mean", "f", axes=[0], keep=True), "reduces over axis 0"),
    "mean over pictures and places": (simple("mean", "m", axes=[0, 2, 3], keep=True), "reduces over axis 0"),
    "sum over pictures": (simple("sum", "f", axes=[0], keep=False), "reduces over axis 0"),
    "largest over pictures": (simple("largest", "f", axes=[0], keep=True), "reduces over axis 0"),
    "smallest over pictures": (simple("smallest", "f", axes=[0], keep=True), "reduces over axis 0"),
    "norm over pictures": (simple("norm", "f", axes=[0], keep=True), "reduces over axis 0"),
    "variance over pictures": (simple("variance", "f", axes=[0], keep=True, correction=0), "reduces over axis 0"),
    "mean over windows of pictures": (simple("mean", "w", axes=[0], keep=True), "reduces over axis 0"),
    "softmax over pictures": (simple("softmax", "f", axis=0), "normalises over axis 0"),
    "log softmax over pictures": (simple("log_softmax", "f", axis=0), "normalises over axis 0"),
    "sums over pictures so far": (simple("cumulative_sum", "f", axis=0), "sums over axis 0"),
    "batch norm": (simple("standardise", "m", axes=[0, 2, 3], eps=1e-5), "normalises over axis 0"),
    "layer norm over everything": (simple("layer_norm", "f", axes=2, eps=1e-5), "normalises over axis 0"),
    "layer norm over pictures last": (after(LAST, "layer_norm", axes=1, eps=1e-5), "normalises over axis 1"),
    "group norm with pictures as channels": (after(SECOND, "group_norm", groups=1, eps=1e-5), "one row of the first"),
    "group norm of windows": (simple("group_norm", "w", groups=1, eps=1e-5), "one row of the first"),
    "roll over pictures": (simple("roll", "f", axes=[0], shifts=[1]), "rolls over axis 0"),
    "roll over pictures second": (after(SECOND, "roll", axes=[1], shifts=[1]), "rolls over axis 1"),
    "pictures turned round": (simple("flip", "f", axes=[0]), "flips over axis 0"),
    "the first picture for all": (simple("slice", "f", axis=0, start=0, stop=1, step=1), "takes a part over axis 0"),
    "every second picture": (simple("slice", "w", axis=0, start=0, stop=4, step=2), "takes a part over axis 0"),
    "pictures by index": (picked, "picks by index over axis 0"),
    "pictures as an index": (index_of_pictures, "constant of whole numbers"),
    "pictures as a condition": (mask_condition, "constant of truth values"),
    "padding with pictures": (simple("pad", "f", before=[1, 0], after=[0, 0], number=0.0), "pads over axis 0"),
    "padding with pictures behind": (simple("pad", "f", before=[0, 0], after=[1, 0], number=0.0), "pads over axis 0"),
    "a parameter beside pictures": (
        lambda b, v: b.add("concatenate", v["f"], b.parameter("row", 1, 8), axis=1, source=SOURCE),
        "not on the same axis",
    ),
    "pictures beside a constant": (
        lambda b, v: b.add("concatenate", b.constant("float32", (1, 8), [1.0] * 8), v["f"], axis=1, source=SOURCE),
        "not on the same axis",
    ),
    "a constant that sums over pictures": (
        lambda b, v: b.add("matmul", b.constant("float32", (3, 1), [1.0] * 3), v["f"], source=SOURCE),
        "sums over axis 0",
    ),
    "pictures on the left times pictures as columns": (
        lambda b, v: b.add("matmul", b.add("permute", v["h4"], axes=[0, 1, 3, 2]), LAST(b, v), source=SOURCE),
        "every picture of one value with every picture",
    ),
    "a parameter times pictures as columns": (
        lambda b, v: b.add("matmul", b.parameter("rows", 3, 8), LAST(b, v), source=SOURCE),
        "features of pictures with a parameter",
    ),
    "more pictures": (both("concatenate", "f", "f", axis=0), "concatenates over axis 0"),
    "a parameter as a picture": (joined_with_parameter, "concatenates over axis 0"),
    "all pictures against all": (after(LAST, "matmul", "f"), "sums over axis 1"),
    "pictures times pictures": (
        lambda b, v: b.add("matmul", v["f"], LAST(b, v), source=SOURCE),
        "every picture of one value with every picture",
    ),
    "pictures added to pictures across": (
        lambda b, v: b.add(
            "add",
            b.add("reshape", v["f"], shape=[["B", 1], 1, 8]),
            b.add("reshape", v["f"], shape=[1, ["B", 1], 8]),
            source=SOURCE,
        ),
        "lie on different axes",
    ),
    "attention over pictures": (
        lambda b, v: b.add(
            "attention", *[b.add("reshape", v["f"], shape=[1, ["B", 1], 8])] * 3, scale=1.0, causal=False, source=SOURCE
        ),
        "attends over axis 1",
    ),
    "attention of pictures second": (
        lambda b, v: b.add("attention", v["h"], v["h4"], v["h4"], scale=1.0, causal=False, source=SOURCE),
        "lie on different axes",
    ),
    "linear over pictures": (
        lambda b, v: b.add("linear", LAST(b, v), b.parameter("across", 4, 1), source=SOURCE),
        "sums over axis 1",
    ),
    "convolution with pictures as channels": (
        lambda b, v: b.convolution(SECOND(b, v), "across", 1, 4) and _named(b),
        "one row of the first",
    ),
    "convolution over windows of pictures": (
        lambda b, v: b.convolution(b.add("reshape", v["w"], shape=[["B", 4], 8, 1, 1]), "a", 8, 4, 1) and _named(b),
        "one row of the first",
    ),
    "pooling over pictures": (
        after(
            permuted("m", [1, 2, 0, 3]),
            "average_pool2d",
            kernel=[1, 1],
            stride=[1, 1],
            padding=[0, 0],
            ceil=False,
            count_padding=True,
        ),
        "pools over axis 2",
    ),
    "largest of windows over pictures": (
        after(
            permuted("m", [1, 2, 3, 0]),
            "max_pool2d",
            kernel=[1, 1],
            stride=[1, 1],
            padding=[0, 0],
            dilation=[1, 1],
            ceil=False,
        ),
        "pools over axis 3",
    ),
    "means of parts over pictures": (
        after(permuted("m", [1, 2, 3, 0]), "adaptive_average_pool2d", size=[1, 1]),
        "pools",
    ),
    "resized over pictures": (after(permuted("m", [1, 2, 0, 3]), "resize_nearest", size=[8, 8]), "pools over axis 2"),
    "interpolated over pictures": (
        after(permuted("m", [1, 2, 0, 3]), "resize_bilinear", size=[8, 8], align_corners=False),
        "pools over axis 2",
    ),
    "pictures as channels": (
        after(permuted("m", [1, 0, 2, 3]), "pixel_shuffle", factor=1),
        "moves numbers over axis 1",
    ),
    "places as pictures": (
        after(permuted("m", [1, 2, 0, 3]), "pixel_unshuffle", factor=2),
        "moves numbers over axis 2",
    ),
    "pictures merged with channels": (
        after(permuted("f", [1, 0]), "reshape", shape=[["B", 8]]),
        "merges pictures with the axes before them",
    ),
    "pictures and channels exchanged by reshaping": (
        simple("reshape", "f", shape=[8, ["B", 1]]),
        "merges pictures with the axes before them",
    ),
    "heads merged with pictures": (
        simple("reshape", "h", shape=[["B", 2], 8, 4]),
        "merges pictures with the axes before them",
    ),
    "pictures of an unknown number as channels": (
        simple("reshape", "f", shape=[1, 8]),
        "may neither vanish nor be made",
    ),
    "a parameter cut into pictures": (
        lambda b, v: b.add("reshape", b.parameter("rows", 4, 8), shape=[["B", 4], 8], source=SOURCE),
        "may neither vanish nor be made",
    ),
    "rows of a parameter as pictures": (
        lambda b, v: b.add("expand", b.parameter("rows", 4, 8), shape=[["B", 4], 8], source=SOURCE),
        "only 1 expands",
    ),
    "pictures expanded to windows": (simple("expand", "f", shape=[["B", 4], 8]), "only 1 expands"),
    "pictures expanded to another axis": (
        simple("expand", "f", shape=[["B", 1], 1, 8]),
        "stays the one",
    ),
    "pictures expanded away": (simple("expand", "f", shape=[1, 8]), "stays the one"),
    "a row for each picture of a batch": (constant_rows, "must have length 1 there"),
    "windows beside pictures": (both("add", "w", "f"), "must have length 1 there"),
    "a weight made of pictures": (weight_of_pictures("linear"), "computed from the pictures"),
    "a scale made of pictures": (
        lambda b, v: b.add("group_norm", v["f"], v["f"], v["f"], groups=1, eps=1e-5, source=SOURCE),
        "computed from the pictures",
    ),
    "a kernel made of pictures": (
        lambda b, v: b.add(
            "conv2d", v["m"], v["m"], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, source=SOURCE
        ),
        "computed from the pictures",
    ),
    "sums of flattened pictures so far": (after(ROW, "cumulative_sum", axis=0), "sums over axis 0"),
    "softmax of flattened pictures": (after(ROW, "softmax", axis=0), "normalises over axis 0"),
    "layer norm of flattened pictures": (after(ROW, "layer_norm", axes=1, eps=1e-5), "normalises over axis 0"),
    "flattened pictures turned round": (after(ROW, "flip", axes=[0]), "flips over axis 0"),
    "flattened pictures rolled by a picture": (after(ROW, "roll", axes=[0], shifts=[8]), "rolls over axis 0"),
    "windows rolled by a picture": (simple("roll", "w", axes=[0], shifts=[4]), "rolls over axis 0"),
    "windows turned round": (simple("flip", "w", axes=[0]), "flips over axis 0"),
    "windows picked": (
        lambda b, v: b.add("take", v["w"], b.constant("int64", (4,), [0, 1, 2, 3]), axis=0, source=SOURCE),
        "picks by index over axis 0",
    ),
    "windows padded": (simple("pad", "w", before=[4, 0], after=[0, 0], number=0.0), "pads over axis 0"),
    "channels of all pictures convolved": (
        lambda b, v: b.convolution(FOLDED(b, v), "across", 8, 8) and _named(b),
        "one row of the first",
    ),
    "channels of all pictures normalised in groups": (
        after(FOLDED, "group_norm", groups=1, eps=1e-5),
        "one row of the first",
    ),
    "channels of all pictures shuffled to places": (
        after(FOLDED, "pixel_shuffle", factor=2),
        "moves numbers over axis 1",
    ),
    "channels of all pictures in the mean": (after(FOLDED, "mean", axes=[1], keep=True), "reduces over axis 1"),
    "channels of all pictures weighed": (after(FOLDED, "softmax", axis=1), "normalises over axis 1"),
    "channels of all pictures as channels and pictures": (
        lambda b, v: b.add(
            "reshape", b.add("permute", FOLDED(b, v), axes=[1, 0, 2, 3]), shape=[8, ["B", 1], 8, 8], source=SOURCE
        ),
        "merges pictures with the axes before them",
    ),
    "greater than another picture": (
        lambda b, v: b.add("greater", b.add("reshape", v["f"], shape=[["B", 1], 1, 8]), _across(b, v), source=SOURCE),
        "lie on different axes",
    ),
    "the rank among pictures": (
        lambda b, v: b.add(
            "sum", b.add("at_least", _across(b, v), b.parameter("bound", 1, 1, 8)), axes=[1], keep=True, source=SOURCE
        ),
        "reduces over axis 1",
    ),
    "equal to another picture": (
        lambda b, v: b.add("equal", _across(b, v), b.add("reshape", v["f"], shape=[["B", 1], 1, 8]), source=SOURCE),
        "lie on different axes",
    ),
    "rounded pictures as an index": (
        lambda b, v: b.add("take", b.parameter("table", 9, 8), b.add("floor", v["f"]), axis=0, source=SOURCE),
        "constant of whole numbers",
    ),
    "the whole numbers of another picture": (
        lambda b, v: b.add(
            "add", b.add("floor", _across(b, v)), b.add("reshape", v["f"], shape=[["B", 1], 1, 8]), source=SOURCE
        ),
        "lie on different axes",
    ),
    "windows of a picture against pictures": (both("greater", "w", "f"), "must have length 1 there"),
    "a bound for each of four pictures": (
        lambda b, v: b.add("at_least", v["f"], b.constant("float32", (4, 8), [0.5] * 32), source=SOURCE),
        "must have length 1 there",
    ),
    "above the numbers of all pictures": (
        lambda b, v: b.add("at_least", v["f"], ROW(b, v), source=SOURCE),
        "lie on different axes",
    ),
    "chosen by another picture": (
        lambda b, v: b.add(
            "choose",
            b.add("greater", _across(b, v), b.parameter("bound", 8)),
            *[b.add("reshape", v["f"], shape=[["B", 1], 1, 8])] * 2,
            source=SOURCE,
        ),
        "lie on different axes",
    ),
    "chosen from another picture": (
        lambda b, v: b.add(
            "choose",
            b.add("greater", b.add("reshape", v["f"], shape=[["B", 1], 1, 8]), b.parameter("bound", 8)),
            b.constant("float32", (), [0.0]),
            _across(b, v),
            source=SOURCE,
        ),
        "lie on different axes",
    ),
    "chosen by windows of pictures": (
        lambda b, v: b.add("choose", v["w"], v["f"], v["f"], source=SOURCE),
        "must have length 1 there",
    ),
    "a choice for each of four pictures": (
        lambda b, v: b.add("choose", b.constant("float32", (4, 1), [1.0, 0.0] * 2), v["f"], v["f"], source=SOURCE),
        "must have length 1 there",
    ),
    "any of all pictures": (
        lambda b, v: b.add(
            "largest", b.add("greater", v["f"], b.parameter("bound", 8)), axes=[0], keep=True, source=SOURCE
        ),
        "reduces over axis 0",
    ),
    "how many pictures so far": (
        lambda b, v: b.add("cumulative_sum", b.add("greater", v["f"], b.parameter("bound", 8)), axis=0, source=SOURCE),
        "sums over axis 0",
    ),
    "random numbers": (simple("dropout", "f"), "no operator of a graph"),
    "the batch size": (simple("size", "f"), "no operator of a graph"),
    "sorted pictures": (simple("sort", "f", axis=0), "no operator of a graph"),
    "written in place": (both("copy_", "f", "f"), "no operator of a graph"),
    "the batch's own statistics": (simple("batch_norm", "m"), "no operator of a graph"),
}


def _named(builder: Builder) -> str:
    """The last node, with the source that all refusals are looked through for."""
    last = builder.nodes.pop()
    return builder.add(last.operator, *last.inputs, source=SOURCE, **last.attributes)


def values(builder: Builder) -> dict[str, str]:
    maps = builder.convolution(PICTURES, "stem", 3, 8)
    features = builder.add("mean", maps, axes=[2, 3], keep=False)
    tokens = builder.add(
        "reshape", builder.add("slice", maps, axis=2, start=0, stop=1, step=1), shape=[["B", 1], 8, 2, 4]
    )
    heads = builder.add("permute", tokens, axes=[2, 0, 1, 3])
    windows = builder.add("reshape", builder.add("mean", maps, axes=[2, 3], keep=True), shape=[["B", 4], 2])
    windows = builder.add("concatenate", *[windows] * 4, axis=1)
    return {"m": maps, "f": features, "h": heads, "h4": builder.add("permute", tokens, axes=[0, 2, 1, 3]), "w": windows}


@pytest.mark.parametrize("name", COUPLED)
def test_pictures_that_would_meet_are_refused(name: str) -> None:
    couple, why = COUPLED[name]
    builder = Builder()
    found = values(builder)
    prove_so_far(builder)
    couple(builder, found)
    with pytest.raises(GraphError, match=why) as refused:
        prove(builder.graph())
    assert SOURCE in refused.value.public
    assert f"Node {len(builder.nodes) - 1} (" in refused.value.public


def prove_so_far(builder: Builder) -> None:
    """What stands before the coupling is not what is refused: the first complaint is about the end."""
    with pytest.raises(GraphError, match="The last node must give logits"):
        prove(builder.graph())


def test_there_are_more_than_thirty_kinds() -> None:
    assert len(COUPLED) > 77


def test_channels_of_all_pictures_side_by_side_stay_apart_where_each_is_taken_alone() -> None:
    builder = Builder()
    maps = builder.convolution(PICTURES, "stem", 3, 8)
    larger = builder.add("resize_nearest", FOLDED(builder, {"m": maps}), size=[16, 16])
    pooled = builder.add("mean", larger, axes=[2, 3], keep=False)
    builder.linear(builder.add("reshape", pooled, shape=[["B", 1], 8]), "head", 8, 4)
    assert prove(builder.graph()).graph.num_classes == 4
