"""Own models of tests: graphs as plans carry them, and texts that no plan may carry."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

from support.graphs import Builder

from policies.graphs.graph import PICTURES, Graph
from policies.plans.graph.packed_graph import pack
from policies.plans.model_spec import GRAPH_MODEL, ModelSpec


def own_graph(image_shape: tuple[int, int, int] = (16, 16, 1), num_classes: int = 2) -> Graph:
    """A small network for the pictures of running hospitals: convolution, norm, ReLU, pooling, a factor, a head."""
    builder = Builder(image_shape, num_classes)
    maps = builder.convolution(PICTURES, "stem", image_shape[2], 8)
    scale, shift = builder.parameter("norm.weight", 8), builder.parameter("norm.bias", 8)
    maps = builder.add("group_norm", maps, scale, shift, groups=2, eps=1e-5, source="net.py:7")
    maps = builder.add("multiply", builder.add("relu", maps), builder.parameter("gain", 1, 8, 1, 1))
    builder.head(maps, 8)
    return builder.graph()


def own_spec(graph: Graph, **changes: Any) -> ModelSpec:
    """An own model as a plan carries it; nothing of its graph is checked."""
    return spec_of_text(graph.to_json(), image_shape=graph.image_shape, num_classes=graph.num_classes, **changes)


def spec_of_text(
    text: str, *, image_shape: tuple[int, int, int] = (16, 16, 1), num_classes: int = 2, **changes: Any
) -> ModelSpec:
    """An own model whose graph is this text, whatever it holds."""
    return ModelSpec(GRAPH_MODEL, image_shape, num_classes, graph=pack(text), **changes)


def packed_bytes(content: bytes) -> str:
    """Bytes packed as a graph is, without its bounds."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def altered(graph: Graph, change: Callable[[dict[str, Any]], object]) -> str:
    """A graph's text after a change of its plain values."""
    values = json.loads(graph.to_json())
    change(values)
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _node(**changes: Any) -> dict[str, Any]:
    return {"attributes": {}, "inputs": ["pictures"], "operator": "relu", "source": ""} | changes


def _circle(values: dict[str, Any]) -> None:
    last = len(values["nodes"]) - 1
    values["nodes"][0]["inputs"][0] = f"node:{last}"


def _many(values: dict[str, Any]) -> None:
    values["nodes"] = [_node() for _ in range(6_000)]


def _unlisted(values: dict[str, Any]) -> None:
    values["nodes"][2]["operator"] = "batch_norm"


def _overflowing(values: dict[str, Any]) -> None:
    place = next(i for i, one in enumerate(values["nodes"]) if one["operator"] == "relu")
    spread = [["B", 1], 1 << 24, 1 << 24, 1 << 24]
    values["nodes"][place] = _node(operator="expand", inputs=[f"node:{place - 1}"], attributes={"shape": spread})


def _huge(values: dict[str, Any]) -> None:
    data = base64.b64encode(bytes(8_000_004)).decode()
    values["constants"]["0" * 64] = {"data": data, "kind": "float32", "shape": [2_000_001]}


def _mixing(values: dict[str, Any]) -> None:
    place = next(i for i, one in enumerate(values["nodes"]) if one["operator"] == "relu")
    values["nodes"][place] = _node(operator="flip", inputs=[f"node:{place - 1}"], attributes={"axes": [0]})


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a circle": (_circle, "nor an earlier node"),
    "too many nodes": (_many, "at most 5,000 nodes"),
    "an operator outside the list": (_unlisted, "no operator of a graph"),
    "a shape that overflows": (_overflowing, "refused"),
    "a huge constant": (_huge, "than 8,000,000 bytes"),
    "pictures that meet": (_mixing, "refused"),
}
"""What is wrong with a graph → how it is made so, and a part of the reason that is given."""
