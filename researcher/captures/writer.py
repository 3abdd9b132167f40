"""Writes a graph node by node, while a network's operators are translated one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from policies.graphs.graph import PICTURES, Constant, Graph, Node
from policies.graphs.operators import OPERATORS

Operand = Any  # what a traced value is known as: a `Ref`, a `Pair`, a constant tensor, a list of them, or a plain value

_FAR = 1e30


class Ref:
    """A value of the graph.

    Args:
        name: As nodes read it.
        shape: Lengths; that of the pictures' axis for one picture.
        batch: The axis of the pictures, or None.
        trained: Whether it has a gradient of a trained parameter.
        truth: Whether each of its numbers is known to be 0 or 1, as truth values are written.

    Attributes:
        distinct: Along which axis its numbers are places that differ, if it is known of one.
        windows: Of places in maps: height and width of windows beside each other, each of which has one of the places,
            and of the maps; None elsewhere.
    """

    def __init__(
        self, name: str, shape: Sequence[int], batch: int | None, *, trained: bool = False, truth: bool = False
    ) -> None:
        self.name, self.shape, self.batch, self.trained = name, tuple(shape), batch, trained
        self.truth = truth
        self.distinct: int | None = None
        self.windows: tuple[int, ...] | None = None

    def sizes(self) -> list[Any]:
        """The shape as a graph's text has it."""
        return spelled(self.shape, self.batch)


class Pair:
    """A complex value, known as its two parts; no graph has one.

    Args:
        real: The real part, a value or a constant.
        imaginary: The imaginary part, of the same shape.
    """

    def __init__(self, real: Operand, imaginary: Operand) -> None:
        self.parts = real, imaginary

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths; that of the pictures' axis for one picture."""
        return tuple(self.parts[0].shape)

    @property
    def batch(self) -> int | None:
        """The axis of the pictures, or None."""
        for part in self.parts:
            if isinstance(part, Ref) and part.batch is not None:
                return part.batch
        return None


class Writer:
    """The graph in the making."""

    def __init__(self) -> None:
        self.source = ""
        self._nodes: list[Node] = []
        self._constants: dict[str, Constant] = {}

    @property
    def count(self) -> int:
        """Operators that were written so far."""
        return len(self._nodes)

    def not_finite(self, first: int) -> float | None:
        """A number that is not finite among the attributes of the nodes from `first` on; None without one."""
        values = (one for node in self._nodes[first:] for one in node.attributes.values())
        return next((one for one in values if isinstance(one, float) and not math.isfinite(one)), None)

    def add(
        self, operator: str, inputs: Sequence[Operand], like: tuple[Sequence[int], int | None], **settings: Any
    ) -> Ref:
        """Adds a node.

        Args:
            operator: Its name.
            inputs: Values and constants.
            like: Shape of the result, and its axis of the pictures.
            settings: Its attributes.
        """
        values = [self.read(one) for one in inputs]
        self._nodes.append(Node(operator, tuple(one.name for one in values), settings, self.source))
        flat = OPERATORS[operator].flat
        trained = any(one.trained for place, one in enumerate(values) if place not in flat)
        return Ref(f"node:{len(self._nodes) - 1}", *like, trained=trained)

    def read(self, value: Operand) -> Ref:
        """A value as a node reads it; a constant is written down."""
        if isinstance(value, Ref):
            return value
        constant = _constant(value)
        self._constants[constant.digest] = constant
        return Ref(f"constant:{constant.digest}", constant.shape, None)

    def graph(
        self, logits: str, image_shape: tuple[int, int, int], num_classes: int, shapes: Mapping[str, Sequence[int]]
    ) -> Graph:
        """The graph of what the logits are made of; the rest is left out.

        Args:
            logits: The name of their node.
            image_shape: (height, width, channels).
            num_classes: Of the logits.
            shapes: Of each trained parameter.
        """
        constants, nodes, needed = self.parts(logits)
        return Graph(
            image_shape,
            num_classes,
            {name: tuple(shape) for name, shape in shapes.items() if f"parameter:{name}" in needed},
            constants,
            nodes,
        )

    def parts(self, last: str) -> tuple[dict[str, Constant], tuple[Node, ...], set[str]]:
        """What a value is made of; the rest is left out.

        Args:
            last: The name of its node.

        Returns:
            Constants by their digests, nodes in their order and numbered anew, and all old names that are needed.
        """
        needed, names = {last}, [last]
        while names:
            name = names.pop()
            if name.startswith("node:"):
                more = set(self._nodes[int(name[5:])].inputs) - needed
                needed |= more
                names += more
        kept = [number for number in range(len(self._nodes)) if f"node:{number}" in needed]
        renamed = {f"node:{old}": f"node:{new}" for new, old in enumerate(kept)}
        nodes = [self._nodes[number] for number in kept]
        return (
            {digest: one for digest, one in self._constants.items() if f"constant:{digest}" in needed},
            tuple(replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)) for node in nodes),
            needed,
        )


def pictures(image_shape: tuple[int, int, int]) -> Ref:
    """The pictures, (B, channels, height, width)."""
    height, width, channels = image_shape
    return Ref(PICTURES, (1, channels, height, width), 0)


def spelled(shape: Sequence[int], batch: int | None) -> list[Any]:
    """A shape as a graph's text has it."""
    return [["B", size] if axis == batch else size for axis, size in enumerate(shape)]


def _constant(value: torch.Tensor) -> Constant:
    value = value.detach().cpu().contiguous()
    if value.is_floating_point():
        value = value.to(torch.float32).clamp(-_FAR, _FAR)  # a mask of infinities
        return Constant("float32", tuple(value.shape), value.numpy().astype("<f4").tobytes())
    if value.dtype == torch.bool:
        return Constant("bool", tuple(value.shape), value.numpy().tobytes())
    return Constant("int64", tuple(value.shape), value.to(torch.int64).numpy().astype("<i8").tobytes())
