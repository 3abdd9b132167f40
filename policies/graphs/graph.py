"""A graph: a researcher's own model as plain data: operators' names, shapes and numbers, and nothing to run."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.plans.plan_json import canonical_json, sha256_text

GRAPH_VERSION = 1
PICTURES = "pictures"
BYTES = {"float32": 4, "int64": 8, "bool": 1}


@dataclass(frozen=True)
class Constant:
    """Numbers that are the same for all pictures and are not trained: a mask, an index, a window.

    Attributes:
        kind: `float32`, `int64` or `bool`.
        shape: Length of each axis.
        data: The numbers, little-endian, the last axis fastest.
    """

    kind: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 over kind, shape and numbers, in hexadecimal: the constant's name in a graph."""
        head = f"{self.kind}:{','.join(map(str, self.shape))}:".encode()
        return hashlib.sha256(head + self.data).hexdigest()

    def is_whole(self) -> bool:
        """Whether there are as many bytes as kind and shape say."""
        return len(self.data) == math.prod(self.shape) * BYTES[self.kind]


@dataclass(frozen=True)
class Node:
    """One operator that is carried out.

    Attributes:
        operator: A name from `policies.graphs.operators.OPERATORS`.
        inputs: What it is given: `pictures`, `parameter:NAME`, `constant:DIGEST`, or `node:NUMBER` of an earlier one.
        attributes: Its settings as the graph's text has them.
        source: Where its author wrote it: module and line, for people. Nothing is looked up by it.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    source: str = ""


@dataclass(frozen=True)
class Graph:
    """A model whose last node gives the logits, (B, num_classes), of pictures, (B, channels, height, width).

    Attributes:
        image_shape: (height, width, channels) in pixels.
        num_classes: Logits of a picture.
        parameters: Name → shape of each trained parameter. Their numbers come with each round.
        constants: Digest → constant.
        nodes: In the order in which they are carried out.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    parameters: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Constant]
    nodes: tuple[Node, ...]

    def to_json(self) -> str:
        """Canonical JSON: equal graphs give equal text, and each text is one graph."""
        return canonical_json(
            {
                "graph": GRAPH_VERSION,
                "image_shape": list(self.image_shape),
                "num_classes": self.num_classes,
                "parameters": {name: list(shape) for name, shape in self.parameters.items()},
                **plain_parts(self.constants, self.nodes),
            }
        )

    def digest(self) -> str:
        """SHA-256 of the graph's text, in hexadecimal."""
        return sha256_text(self.to_json())


def plain_parts(constants: Mapping[str, Constant], nodes: Sequence[Node]) -> dict[str, object]:
    """Constants and nodes as the text of a graph has them.

    Args:
        constants: Digest → constant.
        nodes: In order.
    """
    return {
        "constants": {
            digest: {"kind": one.kind, "shape": list(one.shape), "data": base64.b64encode(one.data).decode()}
            for digest, one in constants.items()
        },
        "nodes": [
            {
                "operator": node.operator,
                "inputs": list(node.inputs),
                "attributes": dict(node.attributes),
                "source": node.source,
            }
            for node in nodes
        ],
    }
