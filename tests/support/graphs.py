"""Graphs of tests: built node by node, in few words."""

from __future__ import annotations

import math
import struct
from typing import Any

from policies.graphs.graph import PICTURES, Constant, Graph, Node


class Builder:
    """A graph in the making.

    Args:
        image_shape: (height, width, channels) in pixels.
        num_classes: Logits of a picture.
    """

    def __init__(self, image_shape: tuple[int, int, int] = (8, 8, 3), num_classes: int = 4) -> None:
        self.image_shape = image_shape
        self.num_classes = num_classes
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, Constant] = {}
        self.nodes: list[Node] = []

    def parameter(self, name: str, *shape: int) -> str:
        """A trained parameter; what nodes call it."""
        self.parameters[name] = shape
        return f"parameter:{name}"

    def constant(self, kind: str, shape: tuple[int, ...], values: list[Any]) -> str:
        """A constant; what nodes call it."""
        letter = {"float32": "f", "int64": "q", "bool": "?"}[kind]
        one = Constant(kind, shape, struct.pack(f"<{len(values)}{letter}", *values))
        self.constants[one.digest] = one
        return f"constant:{one.digest}"

    def add(self, operator: str, *inputs: str, source: str = "", **attributes: Any) -> str:
        """A node; what later nodes call it."""
        self.nodes.append(Node(operator, inputs, attributes, source))
        return f"node:{len(self.nodes) - 1}"

    def convolution(self, value: str, name: str, inputs: int, outputs: int, size: int = 3, **attributes: Any) -> str:
        """A convolution that keeps the pictures' size, unless told otherwise."""
        settings = {"stride": [1, 1], "padding": [size // 2] * 2, "dilation": [1, 1], "groups": 1} | attributes
        weight = self.parameter(f"{name}.weight", outputs, inputs // settings["groups"], size, size)
        return self.add("conv2d", value, weight, self.parameter(f"{name}.bias", outputs), **settings)

    def linear(self, value: str, name: str, inputs: int, outputs: int) -> str:
        """A linear layer."""
        weight = self.parameter(f"{name}.weight", outputs, inputs)
        return self.add("linear", value, weight, self.parameter(f"{name}.bias", outputs))

    def head(self, value: str, channels: int) -> str:
        """Logits of maps: their means, and a linear layer."""
        pooled = self.add("mean", value, axes=[2, 3], keep=False)
        return self.linear(pooled, "head", channels, self.num_classes)

    def graph(self) -> Graph:
        """The graph so far."""
        return Graph(self.image_shape, self.num_classes, self.parameters, self.constants, tuple(self.nodes))


def small_graph() -> Graph:
    """A convolution, a norm, ReLU, and a head."""
    builder = Builder()
    maps = builder.convolution(PICTURES, "stem", 3, 8)
    scale, shift = builder.parameter("norm.weight", 8), builder.parameter("norm.bias", 8)
    maps = builder.add("group_norm", maps, scale, shift, groups=2, eps=1e-5)
    builder.head(builder.add("relu", maps), 8)
    return builder.graph()


def windows() -> Graph:
    """Windows with attention, a bias that is picked from a table of parameters, a class token, and a scale."""
    b = Builder((8, 8, 3), 4)
    maps = b.convolution(PICTURES, "patches", 3, 8, 1)
    value = b.add("reshape", b.add("permute", maps, axes=[0, 2, 3, 1]), shape=[["B", 1], 2, 4, 2, 4, 8])
    value = b.add("reshape", b.add("permute", value, axes=[0, 1, 3, 2, 4, 5]), shape=[["B", 4], 16, 8])
    norm = b.add("layer_norm", value, b.parameter("norm.weight", 8), b.parameter("norm.bias", 8), axes=1, eps=1e-5)
    heads = b.add("reshape", b.linear(norm, "qkv", 8, 24), shape=[["B", 4], 16, 3, 2, 4])
    heads = b.add("permute", heads, axes=[2, 0, 3, 1, 4])
    parts = [b.add("slice", heads, axis=0, start=i, stop=i + 1, step=1) for i in range(3)]
    query, key, other = [b.add("reshape", part, shape=[["B", 4], 2, 16, 4]) for part in parts]
    index = b.constant("int64", (16, 16), [(i - j) % 31 for i in range(16) for j in range(16)])
    bias = b.add("take", b.parameter("table", 31, 2), index, axis=0)
    bias = b.add("reshape", b.add("permute", bias, axes=[2, 0, 1]), shape=[1, 2, 16, 16])
    value = b.add("attention", query, key, other, bias, scale=0.5, causal=False)
    value = b.add("reshape", b.add("permute", value, axes=[0, 2, 1, 3]), shape=[["B", 1], 64, 8])
    token = b.add("expand", b.parameter("token", 1, 1, 8), shape=[["B", 1], 1, 8])
    value = b.add("concatenate", token, b.add("multiply", value, b.parameter("scale", 8)), axis=1)
    mixed = b.add("matmul", b.add("permute", value, axes=[0, 2, 1]), value)
    value = b.add("concatenate", value, b.add("softmax", mixed, axis=2), axis=1)
    b.linear(b.add("mean", value, axes=[1], keep=False), "head", 8, 4)
    return b.graph()


def comparing() -> Graph:
    """Choices by comparisons: with a number, a trained number for each channel, another place and the largest one."""
    b = Builder()
    maps, zero = b.convolution(PICTURES, "stem", 3, 8), b.constant("float32", (), [0.0])
    bent = b.add("choose", b.add("greater", maps, zero), maps, b.add("affine", maps, factor=0.1, offset=0.0))
    bound = b.parameter("bound", 8, 1, 1)
    bounded = b.add("choose", b.add("at_least", bent, bound), bound, bent)
    other = b.add("roll", bounded, axes=[3], shifts=[1])
    both = b.add("multiply", b.add("greater", bounded, other), b.add("at_least", other, zero))
    kept = b.add("add", bounded, b.add("multiply", both, other))
    pooled = b.add("mean", kept, axes=[2, 3], keep=False)
    largest = b.add("equal", pooled, b.add("largest", pooled, axes=[1], keep=True))
    experts = b.add("multiply", b.linear(pooled, "experts", 8, 8), b.add("add", largest, pooled))
    masked = b.parameter("weight", 4, 8)
    pruned = b.add("choose", b.add("greater", b.add("absolute", masked), zero), masked, zero)
    b.add("linear", experts, pruned, b.parameter("bias", 4))
    return b.graph()


def ordering() -> Graph:
    """The second of each channel's row means by counted comparisons, a stopped weight, and parts normalised."""
    b = Builder()
    maps, zero = b.convolution(PICTURES, "stem", 3, 8), b.constant("float32", (), [0.0])
    parts = b.add("reshape", maps, shape=[["B", 16], 4, 8])
    normed = b.add("standardise", parts, axes=[1, 2], eps=1e-5)
    maps = b.add("multiply", b.add("reshape", normed, shape=[["B", 1], 8, 8, 8]), b.parameter("scale", 8, 1, 1))
    rows = b.add("mean", maps, axes=[3], keep=False)
    own, others = b.add("reshape", rows, shape=[["B", 1], 8, 8, 1]), b.add("reshape", rows, shape=[["B", 1], 8, 1, 8])
    first = b.constant("bool", (8, 8), [j < i for i in range(8) for j in range(8)])
    stand = b.add("where", first, b.add("at_least", others, own), b.add("greater", others, own))
    rank = b.add("sum", stand, axes=[3], keep=False)
    second = b.add("equal", rank, b.constant("float32", (), [1.0]))
    chosen = b.add("sum", b.add("choose", second, rows, zero), axes=[2], keep=False)
    spread = b.add("variance", maps, axes=[2, 3], keep=False, correction=1)
    weight = b.add("sigmoid", b.add("mean", maps, axes=[2, 3], keep=False))
    whole = b.add("add", chosen, b.add("floor", b.add("affine", chosen, factor=3.0, offset=0.5)))
    b.linear(b.add("add", spread, b.add("multiply", b.add("without_gradient", weight), whole)), "head", 8, 4)
    return b.graph()


def attention_of(*lead: int, image_shape: tuple[int, int, int] = (8, 8, 3)) -> Graph:
    """Attention with a mask, and pictures on the first of the axes before the last two.

    Args:
        lead: Lengths of the others of these axes; together they divide 16.
        image_shape: (height, width, channels), of 64 numbers for each channel.
    """
    b, parts = Builder(image_shape), math.prod(lead)
    maps = b.convolution(PICTURES, "stem", image_shape[2], 4)
    tokens = b.add("reshape", maps, shape=[["B", 1], *lead, 16 // parts * 4, 4])
    query, key, other = (b.linear(tokens, name, 4, 3) for name in ("query", "key", "value"))
    count = 16 // parts * 4
    mask = b.constant("float32", (*[1] * len(lead), 1, count, count), [(i % 7) / 3 for i in range(count**2)])
    value = b.add("attention", query, key, other, mask, scale=0.7, causal=False)
    b.linear(b.add("reshape", value, shape=[["B", 1], 192]), "head", 192, 4)
    return b.graph()
