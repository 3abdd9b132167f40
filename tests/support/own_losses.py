"""Own losses of tests: graphs of a picture's outputs and label, built node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.graphs import Builder

from policies.graphs.losses.loss_graph import KNOWN, LABEL, OUTPUT, LossGraph

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
