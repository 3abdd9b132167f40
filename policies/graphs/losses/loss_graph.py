"""A loss as a graph: a researcher's own function of a picture's outputs and label, as plain data and nothing to run.

Its text comes from outside; each byte of it is checked, by the reader of own models' graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.errors import GraphError
from policies.graphs.attributes import CHECKS
from policies.graphs.graph import Constant, Node, plain_parts
from policies.graphs.limits import GraphLimits
from policies.graphs.reading import check_fields, constants_of, nodes_of, parsed
from policies.plans.picture_form import LABEL_KINDS
from policies.plans.plan_json import canonical_json, sha256_text
from policies.untrusted_text import shown

LOSS_VERSION = 1
OUTPUT, LABEL, KNOWN = "output", "label", "known"
INPUTS: Mapping[str, tuple[str, ...]] = {"single": (OUTPUT, LABEL), "multi": (OUTPUT, LABEL, KNOWN)}
"""What nodes read besides constants and each other, by the kind of labels; each of shape (B, num_classes)."""
MOST_CLASSES = 1_000

LOSS_LIMITS = GraphLimits(
    characters=1_000_000,
    nodes=500,
    parameters=0,
    parameter_numbers=0,
    constant_bytes=500_000,
    multiplications=100_000_000,
    activation_numbers=2_000_000,
)
"""How large a loss may be."""
_FIELDS = ("constants", "label_kind", "loss", "nodes", "num_classes")


@dataclass(frozen=True)
class LossGraph:
    """A loss whose last node gives a number for each picture, (B,), of its logits and its label.

    Nodes read `output`, the logits, (B, num_classes). Where a picture has one class, `label` is 1 at that class and 0
    elsewhere. Where classes are findings, `label` is 1 for a finding that is present and 0 for every other, and `known`
    is 1 where it is known whether it is and 0 where nobody knows.

    Attributes:
        label_kind: `single` or `multi`, as a dataset's schema says.
        num_classes: Logits of a picture.
        constants: Digest → constant.
        nodes: In the order in which they are carried out.
    """

    label_kind: str
    num_classes: int
    constants: Mapping[str, Constant]
    nodes: tuple[Node, ...]

    def to_json(self) -> str:
        """Canonical JSON: equal losses give equal text, and each text is one loss."""
        return canonical_json(
            {
                "loss": LOSS_VERSION,
                "label_kind": self.label_kind,
                "num_classes": self.num_classes,
                **plain_parts(self.constants, self.nodes),
            }
        )

    def digest(self) -> str:
        """SHA-256 of the loss's text, in hexadecimal."""
        return sha256_text(self.to_json())


def read_loss(text: str, limits: GraphLimits = LOSS_LIMITS) -> LossGraph:
    """Reads a loss back from its text.

    Guarantees:
        What it returns is as large as `limits` allow at most, holds plain numbers and texts alone, and has exactly this
        text. Whether its operators exist, fit and keep pictures apart is for `loss_proof.prove_loss`.

    Args:
        text: What `LossGraph.to_json` wrote.
        limits: How large it may be; a text that is larger is refused before it is parsed.

    Raises:
        GraphError: Too long, not canonical JSON, an unknown or missing field, a value of the wrong form.
    """
    values = parsed(text, limits)
    check_fields("loss", values, _FIELDS)
    if values["loss"] != LOSS_VERSION or isinstance(values["loss"], bool):
        raise GraphError(f"Expected a loss of version {LOSS_VERSION}, got {shown(values['loss'], most=40)}.")
    loss = LossGraph(
        label_kind=CHECKS.choice("label_kind", values["label_kind"], LABEL_KINDS),
        num_classes=CHECKS.integer("num_classes", values["num_classes"], low=2, high=MOST_CLASSES),
        constants=constants_of(values["constants"], limits),
        nodes=nodes_of(values["nodes"], limits),
    )
    if loss.to_json() != text:
        raise GraphError("A loss must be canonical JSON as its to_json() writes it: keys sorted, no spaces.")
    return loss
