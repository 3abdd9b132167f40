"""Own losses of tests: graphs of a picture's outputs and label, and texts that no plan may carry."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from support.graphs import Builder

from policies.graphs.losses.loss_graph import KNOWN, LABEL, OUTPUT, LossGraph
from policies.plans.graph.packed_graph import LOSS, pack
from policies.plans.objective.objective_spec import OWN_LOSS, ObjectiveSpec

Lines = Callable[[Builder], object]


def loss_graph(lines: Lines, *, label_kind: str = "single", num_classes: int = 3) -> LossGraph:
    """The loss that some lines build.

    Args:
        lines: Add nodes to a builder; the last one is the loss.
        label_kind: `single` or `multi`.
        num_classes: Outputs of a picture.
    """
    builder = Builder(num_classes=num_classes)
    lines(builder)
    return LossGraph(label_kind, num_classes, builder.constants, tuple(builder.nodes))


def cross_entropy(b: Builder, **attributes: Any) -> str:
    """Minus the label times the log of softmax, summed over the classes."""
    told = b.add("multiply", b.add("log_softmax", OUTPUT, axis=1), LABEL)
    return b.add("affine", b.add("sum", told, axes=[1], keep=False), factor=-1.0, offset=0.0, source="loss.py:3")


def focal(b: Builder) -> str:
    """Cross-entropy times (1 - p)^2, p the probability of the right class."""
    chosen = b.add("multiply", b.add("log_softmax", OUTPUT, axis=1), LABEL)
    log = b.add("sum", chosen, axes=[1], keep=False)
    wrong = b.add("affine", b.add("exponential", log), factor=-1.0, offset=1.0)
    return b.add("multiply", b.add("multiply", wrong, wrong), b.add("affine", log, factor=-1.0, offset=0.0))


def findings(b: Builder) -> str:
    """Binary cross-entropy of the known findings, over all of them."""
    told = b.add("subtract", b.add("softplus", OUTPUT), b.add("multiply", OUTPUT, LABEL))
    return b.add("mean", b.add("multiply", told, KNOWN), axes=[1], keep=False)


def costs(b: Builder) -> str:
    """What each mistake costs, by a table of classes, as a mean over the model's probabilities."""
    table = b.constant("float32", (3, 3), [0.0, 1.0, 4.0, 1.0, 0.0, 1.0, 4.0, 1.0, 0.0])
    row = b.add("matmul", LABEL, table)
    return b.add("sum", b.add("multiply", row, b.add("softmax", OUTPUT, axis=1)), axes=[1], keep=False)


def own_objective(loss: LossGraph) -> ObjectiveSpec:
    """An own loss as a plan carries it; nothing of its graph is checked."""
    return objective_of_text(loss.to_json())


def objective_of_text(text: str) -> ObjectiveSpec:
    """An own loss whose graph is this text, whatever it holds."""
    return ObjectiveSpec(OWN_LOSS, loss_graph=pack(text, LOSS))


def altered_loss(loss: LossGraph, change: Callable[[dict[str, Any]], object]) -> str:
    """A loss's text after a change of its plain values."""
    values = json.loads(loss.to_json())
    change(values)
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _node(**changes: Any) -> dict[str, Any]:
    return {"attributes": {}, "inputs": ["output"], "operator": "relu", "source": ""} | changes


def _circle(values: dict[str, Any]) -> None:
    values["nodes"][0]["inputs"][0] = f"node:{len(values['nodes']) - 1}"


def _many(values: dict[str, Any]) -> None:
    values["nodes"] = [_node() for _ in range(600)]


def _unlisted(values: dict[str, Any]) -> None:
    values["nodes"][0]["operator"] = "sort"


def _overflowing(values: dict[str, Any]) -> None:
    values["nodes"][0] = _node(operator="expand", attributes={"shape": [1 << 24, 1 << 24, ["B", 1], 3]})


def _huge(values: dict[str, Any]) -> None:
    data = base64.b64encode(bytes(500_004)).decode()
    values["constants"]["0" * 64] = {"data": data, "kind": "float32", "shape": [125_001]}


def _over_pictures(values: dict[str, Any]) -> None:
    values["nodes"][0] = _node(operator="softmax", attributes={"axis": 0})


def _a_mean(values: dict[str, Any]) -> None:
    last = f"node:{len(values['nodes']) - 1}"
    values["nodes"].append(_node(operator="mean", inputs=[last], attributes={"axes": [0], "keep": False}))


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a circle": (_circle, "nor an earlier node"),
    "too many nodes": (_many, "at most 500 nodes"),
    "an operator outside the list": (_unlisted, "no operator of a graph"),
    "a shape that overflows": (_overflowing, "refused"),
    "a huge constant": (_huge, "than 500,000 bytes"),
    "softmax over pictures": (_over_pictures, "normalises over axis 0"),
    "a mean over pictures": (_a_mean, "reduces over axis 0"),
}
"""What is wrong with a loss → how it is made so, and a part of the reason that is given."""
