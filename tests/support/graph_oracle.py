"""Graphs drawn at random, and what they compute by definition: one picture at a time, in float64."""

from __future__ import annotations

import random

import torch
from support.graphs import Builder
from torch import nn

from datasites.training.graphs import GraphModel
from policies.graphs import proof
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.proof import prove
from policies.graphs.values import Value

_PLAIN = (
    *("absolute", "cosine", "error_function", "hard_sigmoid", "hard_swish", "mish", "relu", "sigmoid", "silu", "sine"),
    *("softplus", "tanh"),
)

_COMPARED, _STOPPED = ("at_least", "equal", "greater"), ("floor", "without_gradient")


def weighted(graph: Graph, seed: int) -> GraphModel:
    """The graph's model with weights of nobody, in float64."""
    model = GraphModel(prove(graph))
    made = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=made) * 0.3 + (parameter.dim() == 1) * 0.5)
    return model.double()


def pictures_of(graph: Graph, count: int, seed: int) -> torch.Tensor:
    """Pictures of nobody, float64."""
    height, width, channels = graph.image_shape
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(seed)).double()


def one_at_a_time(model: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Logits of each picture in a batch of its own."""
    return torch.cat([model(picture.unsqueeze(0)) for picture in pictures])


class RandomGraph:
    """Draws a graph of operators that the proof allows, by what the proof knows of each value so far.

    Args:
        seed: Of the draw.
        length: Steps between the pictures and the head.
    """

    def __init__(self, seed: int, length: int = 12) -> None:
        self.draw = random.Random(seed)
        self.builder = Builder((self.draw.choice([4, 6, 8]), self.draw.choice([4, 8]), self.draw.choice([1, 2, 3])), 3)
        self.used: set[str] = set()
        value = PICTURES
        for _ in range(length):
            value = self._step(value)
        self._head(value)

    def graph(self) -> Graph:
        """What was drawn."""
        return self.builder.graph()

    def known(self, name: str) -> Value:
        """Shape and axis of the pictures of a value."""
        height, width, channels = self.builder.image_shape
        if name == PICTURES:
            return Value((1, channels, height, width), 0)
        return shapes(self.builder)[int(name.removeprefix("node:"))]

    def _add(self, operator: str, *inputs: str, **attributes: object) -> str:
        self.used.add(operator)
        return self.builder.add(operator, *inputs, **attributes)

    def _step(self, name: str) -> str:
        value = self.known(name)
        others = [axis for axis in range(len(value.shape)) if axis != value.batch]
        steps = [self._number, self._combine, self._along, self._move, self._layer]
        return self.draw.choice(steps)(name, value, others)

    def _number(self, name: str, value: Value, others: list[int]) -> str:
        operator = self.draw.choice(
            [*_PLAIN, "affine", "clamp", "elu", "exponential", "gelu", "leaky_relu", "power", "root"]
        )
        if operator == "root":
            positive = self._add("affine", self._add("absolute", name), factor=1.0, offset=0.5)
            return self._add(self.draw.choice(["square_root", "logarithm", "reciprocal"]), positive)
        settings: dict[str, dict[str, object]] = {
            "affine": {"factor": 0.5, "offset": -0.25},
            "clamp": {"low": -0.75, "high": 0.75},
            "elu": {"alpha": 0.7},
            "gelu": {"tanh": self.draw.random() < 0.5},
            "leaky_relu": {"slope": 0.1},
            "power": {"exponent": 2.0},
        }
        if operator in ("exponential", "power"):
            name = self._add("tanh", name)
        return self._add(operator, name, **settings.get(operator, {}))

    def _combine(self, name: str, value: Value, others: list[int]) -> str:
        operator = self.draw.choice(
            [
                "add",
                "subtract",
                "multiply",
                "maximum",
                "minimum",
                "divide",
                "where",
                *_COMPARED,
                "choose",
                "choose",
                *_STOPPED,
            ]
        )
        shape = [1 if axis == value.batch or self.draw.random() < 0.4 else n for axis, n in enumerate(value.shape)]
        if self.draw.random() < 0.3:
            other = self._add("roll", name, axes=[others[0]], shifts=[1])
        else:
            other = self.builder.parameter(f"p{len(self.builder.nodes)}", *shape)
            other = self._add("tanh", other) if self.draw.random() < 0.4 else other
        if operator == "where":
            length = 1 if value.batch == len(value.shape) - 1 else value.shape[-1]
            mask = self.builder.constant("bool", (length,), [i % 2 == 0 for i in range(length)])
            return self._add("where", mask, name, other)
        if operator in _COMPARED:  # and its own numbers beside, so that a gradient passes
            steps = self._add(operator, name, self._add("affine", name, factor=-0.5, offset=0.1))
            return self._add("add", self._add("multiply", steps, other), self._add("tanh", name))
        if operator in _STOPPED:
            stopped = self._add("multiply", self._add(operator, name), other)
            return self._add("add", stopped, self._add("tanh", name))
        if operator == "choose":
            return self._chosen(name, other)
        if operator == "divide":
            other = self._add("affine", self._add("absolute", other), factor=1.0, offset=1.0)
        return self._add(operator, name, other)

    def _chosen(self, name: str, other: str) -> str:
        """By a comparison with a number, and one with a parameter or another place that must hold too."""
        number = self.builder.constant("float32", (1,), [self.draw.choice([-0.2, 0.0, 0.3])])
        condition = self._add("greater", name, number)
        if self._either():
            more = self._add(self.draw.choice(_COMPARED), other, self._add("sine", name))
            condition = self._add("multiply", condition, more)
        found = self._add("choose", condition, *self.draw.sample([name, other], 2))
        return self._add("choose", self._add("greater", number, name), number, found) if self._either() else found

    def _along(self, name: str, value: Value, others: list[int]) -> str:
        axis = self.draw.choice(others)
        kind = self.draw.choice(["softmax", "log_softmax", "cumulative_sum", "standardise", "reduce"])
        if kind == "standardise":
            return self._add("standardise", name, axes=[axis], eps=0.1)
        if kind != "reduce":
            return self._add(kind, name, axis=axis)
        operator = self.draw.choice(["mean", "sum", "largest", "smallest", "norm", "variance"])
        more: dict[str, object] = {"correction": 0} if operator == "variance" else {}
        if len(value.shape) > 2 and self.draw.random() < 0.3:
            return self._add(operator, name, axes=[axis], keep=False, **more)
        found = self._add(operator, name, axes=[axis], keep=True, **more)
        return self._add("subtract", name, found)

    def _move(self, name: str, value: Value, others: list[int]) -> str:
        axis, count = self.draw.choice(others), len(value.shape)
        kind = self.draw.choice(
            ["permute", "roll", "flip", "slice", "pad", "concatenate", "take", "merge", "split", "expand"]
        )
        size = value.shape[axis]
        if kind == "permute":
            return self._add("permute", name, axes=self.draw.sample(range(count), count))
        if kind == "roll":
            return self._add("roll", name, axes=[axis], shifts=[self.draw.randrange(4)])
        if kind == "flip":
            return self._add("flip", name, axes=[axis])
        if kind == "slice" and size > 2:
            return self._add("slice", name, axis=axis, start=1, stop=size, step=self.draw.choice([1, 2]))
        if kind == "pad" and value.numbers < 2000:
            sides = [1 if a == axis else 0 for a in range(count)]
            return self._add("pad", name, before=sides, after=[0] * count, number=0.5)
        if kind == "concatenate" and value.numbers < 1000:
            return self._add("concatenate", name, self._add("tanh", name), axis=axis)
        if kind == "take":
            index = self.builder.constant("int64", (2, 1) if count < 6 else (2,), [0, size - 1])
            return self._add("take", name, index, axis=axis)
        return self._reshaped(name, value, others, kind)

    def _reshaped(self, name: str, value: Value, others: list[int], kind: str) -> str:
        sizes: list[object] = [["B", n] if axis == value.batch else n for axis, n in enumerate(value.shape)]
        batch = value.batch or 0
        if kind == "expand" and len(sizes) < 6:
            return self._add("expand", name, shape=[2, *sizes])
        if kind == "merge" and batch + 1 < len(sizes):
            merged = value.shape[batch] * value.shape[batch + 1]
            return self._add("reshape", name, shape=[*sizes[:batch], ["B", merged], *sizes[batch + 2 :], 1][:8])
        if kind == "split" and value.shape[batch] > 1 and len(sizes) < 7:
            return self._add("reshape", name, shape=[*sizes[:batch], ["B", 1], value.shape[batch], *sizes[batch + 1 :]])
        return self._add("tanh", name)

    def _layer(self, name: str, value: Value, others: list[int]) -> str:
        count, tag = len(value.shape), f"l{len(self.builder.nodes)}"
        kinds = []
        if value.batch != count - 1:
            kinds += ["linear", "layer_norm"]
        if value.batch == 0 and value.shape[0] == 1 and count == 4:
            kinds += ["conv2d", "group_norm", "pool", "resize", "computed", "shuffle"]
        if value.batch is not None and value.batch < count - 2:
            kinds += ["attention", "matmul"]
        kind = self.draw.choice(kinds or ["tanh"])
        return self._layer_of(kind, name, value, tag)

    def _layer_of(self, kind: str, name: str, value: Value, tag: str) -> str:
        last, b = value.shape[-1], self.builder
        if kind == "linear":
            self.used.add(kind)
            return b.linear(name, tag, last, self.draw.choice([2, 3, 4]))
        if kind == "layer_norm":
            return self._add(kind, name, b.parameter(f"{tag}.s", last), b.parameter(f"{tag}.b", last), axes=1, eps=0.1)
        if kind in ("conv2d", "computed"):
            return self._convolution(kind, name, value, tag)
        if kind == "group_norm":
            channels = value.shape[1]
            weights = b.parameter(f"{tag}.s", channels), b.parameter(f"{tag}.b", channels)
            return self._add(kind, name, *weights, groups=1, eps=0.1)
        if kind == "pool" and min(value.shape[2:]) >= 3:
            return self._pool(name)
        if kind == "resize":
            operator = self.draw.choice(["resize_nearest", "resize_bilinear", "adaptive_average_pool2d"])
            more: dict[str, object] = {"align_corners": self._either()} if operator == "resize_bilinear" else {}
            return self._add(operator, name, size=[4, 3], **more)
        if kind == "attention":
            key = self._add("tanh", name)
            return self._add(
                "attention",
                name,
                key,
                self._add("affine", name, factor=0.5, offset=0.0),
                scale=self.draw.choice([0.3, 1.7]),
                causal=self._either(),
            )
        if kind == "matmul":
            axes = [*range(len(value.shape) - 2), len(value.shape) - 1, len(value.shape) - 2]
            return self._add(
                "softmax", self._add("matmul", name, self._add("permute", name, axes=axes)), axis=len(axes) - 1
            )
        if kind == "shuffle" and not any(size % 2 for size in value.shape[2:]):
            return self._add("pixel_shuffle", self._add("pixel_unshuffle", name, factor=2), factor=2)
        return self._add("tanh", name)

    def _either(self) -> bool:
        return self.draw.random() < 0.5

    def _pool(self, name: str) -> str:
        stride, padding = ([self.draw.choice(sizes) for _ in range(2)] for sizes in ((1, 2, 3), (0, 1)))
        window: dict[str, object] = {"kernel": [2, 2], "stride": stride, "padding": padding, "ceil": self._either()}
        if self._either():
            dilation = [1, 1] if any(padding) else [self.draw.choice([1, 2]) for _ in range(2)]
            return self._add("max_pool2d", name, **window, dilation=dilation)
        return self._add("average_pool2d", name, **window, count_padding=self._either())

    def _convolution(self, kind: str, name: str, value: Value, tag: str) -> str:
        channels, b = value.shape[1], self.builder
        weight = b.parameter(f"{tag}.weight", 4, channels, 3, 3)
        if kind == "computed":
            weight = self._add("standardise", weight, axes=[1, 2, 3], eps=0.1)
        self.used.add("conv2d")
        return b.add("conv2d", name, weight, stride=[1, 2], padding=[1, 1], dilation=[1, 1], groups=1)

    def _head(self, name: str) -> None:
        value = self.known(name)
        batch = value.batch or 0
        order = [batch, *(axis for axis in range(len(value.shape)) if axis != batch)]
        flat = self._add("reshape", self._add("permute", name, axes=order), shape=[["B", 1], value.numbers])
        self.used.add("linear")
        self.builder.linear(self._add("tanh", flat), "head", value.numbers, 3)


def shapes(builder: Builder) -> list[Value]:
    """What the proof knows of the nodes of a graph that has no end yet."""
    graph = builder.graph()
    known, found = proof._beginnings(graph), []
    for number, node in enumerate(graph.nodes):
        proved = proof._proved(number, node, known, proof.LIMITS)
        known[f"node:{number}"] = proved.value
        found.append(proved.value)
    return found
