"""Layers of an own model that meet the pictures first and give the logits last, told from its graph. Public.

Public weights that were made for other pixels or classes are fitted there, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.graphs.graph import PICTURES
from policies.graphs.proof import Proof

_PARAMETER, _WEIGHT = "parameter:", ".weight"
_LAYERS = ("conv2d", "linear")


@dataclass(frozen=True)
class OwnLayers:
    """Names of layers, as their parameters have them before `.weight`.

    Attributes:
        first: The convolution that is given the pictures themselves; empty where there is none, or another step before.
        head: The last layer that has an output for each class; empty where none is known.
        group_norms: Those that normalise groups of channels.
    """

    first: str
    head: str
    group_norms: tuple[str, ...]


def own_layers(proof: Proof) -> OwnLayers:
    """Finds them in a proved graph.

    Args:
        proof: Of the graph.
    """
    first, head, norms = "", "", []
    for node in proof.nodes:
        weight = node.inputs[1] if len(node.inputs) > 1 else ""
        if not weight.startswith(_PARAMETER) or not weight.endswith(_WEIGHT):
            continue
        name = weight.removeprefix(_PARAMETER).removesuffix(_WEIGHT)
        if node.operator == "conv2d" and node.inputs[0] == PICTURES:
            first = name
        if node.operator in _LAYERS:
            classes = proof.graph.parameters[name + _WEIGHT][0] == proof.graph.num_classes
            head = name if classes else head
        if node.operator == "group_norm":
            norms.append(name)
    return OwnLayers(first, head, tuple(dict.fromkeys(norms)))
