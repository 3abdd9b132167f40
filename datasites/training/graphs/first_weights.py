"""First weights of an own model, drawn by what each parameter does in its graph. Public: no picture is looked at.

Weights and biases of layers are drawn as torch draws them, slopes below zero (PReLU) are a quarter (both He et al.,
ICCV 2015), scales of norms and of whatever else is multiplied are one, shifts of norms zero, and what is added to
pictures, class tokens and tables of positions, is normal with deviation 0.02 (Dosovitskiy et al., ICLR 2021).
"""

from __future__ import annotations

import math

import torch

from policies.errors import GraphError
from policies.graphs.proof import Proof

_OF_A_TABLE = 0.02
_SLOPE = 0.25
_LAYERS, _NORMS = ("conv2d", "linear"), ("group_norm", "layer_norm")
_FACTORS = ("multiply", "divide")


def first_weights(proof: Proof) -> dict[str, torch.Tensor]:
    """Draws the weights that a study of an own model starts from.

    Args:
        proof: Of its graph.

    Returns:
        Name → float32 tensor of each parameter's shape, drawn by torch's own generator, in the order of names.
    """
    shapes = proof.graph.parameters
    return {name: _drawn(proof, f"parameter:{name}", shapes[name]) for name in sorted(shapes)}


def _drawn(proof: Proof, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    operator, place, inputs = _first_use(proof, name)
    if operator in _LAYERS:
        inputs_of_one = math.prod(_shape(proof, inputs[1])[1:])
        return torch.empty(shape).uniform_(-1, 1) / math.sqrt(inputs_of_one)
    if operator == "matmul":
        return torch.empty(shape).uniform_(-1, 1) / math.sqrt(shape[-2] if len(shape) > 1 else shape[-1])
    if operator in _NORMS:
        return torch.ones(shape) if place == 1 else torch.zeros(shape)
    if operator in _FACTORS:
        return torch.ones(shape) * (_SLOPE if any(_is_below_zero(proof, one) for one in inputs) else 1.0)
    return torch.empty(shape).normal_(std=_OF_A_TABLE)


def _first_use(proof: Proof, name: str) -> tuple[str, int, tuple[str, ...]]:
    """Where a parameter, or what is made of parameters alone, meets pictures: operator, place and inputs."""
    names = {name}
    for number, node in enumerate(proof.nodes):
        for place, one in enumerate(node.inputs):
            if one not in names:
                continue
            if node.value.batch is not None:
                return node.operator, place, node.inputs
            names.add(f"node:{number}")
    raise GraphError(f"{name} never meets the pictures. A graph holds only what its logits are made of.")


def _is_below_zero(proof: Proof, name: str) -> bool:
    """Whether a value is what of another is below zero, and zero elsewhere: what PReLU's slope is a factor of."""
    node = proof.nodes[int(name.removeprefix("node:"))] if name.startswith("node:") else None
    return node is not None and node.operator == "clamp" and node.attributes["high"] == 0.0


def _shape(proof: Proof, name: str) -> tuple[int, ...]:
    if name.startswith("node:"):
        return proof.nodes[int(name.removeprefix("node:"))].value.shape
    return proof.graph.parameters[name.removeprefix("parameter:")]
