"""Graphs of tests: built node by node, in few words."""

from __future__ import annotations

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
