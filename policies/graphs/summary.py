"""A graph in short, for people who decide on it: its layers and operators, and what each costs. Public."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.graphs.overview.blocks import Block, blocks_of, module_of
from policies.graphs.overview.layers import FoundLayer, layers_in
from policies.graphs.overview.nearest import Nearest, nearest
from policies.graphs.own_model import check_graph
from policies.graphs.proof import Proof
from policies.graphs.values import spelled
from policies.plans.kinds import Plan
from policies.plans.plan_json import ADDED_LATER


@dataclass(frozen=True)
class Layer:
    """An operator in which pictures meet trained numbers.

    Attributes:
        name: The module that holds these, as their names say.
        operator: Its name.
        makes: The shape of what it gives, B pictures.
        parameters: Trained numbers.
        multiplications: For one picture, forward.
    """

    name: str
    operator: str
    makes: str
    parameters: int
    multiplications: int


@dataclass(frozen=True)
class Summary:
    """A graph in numbers.

    Attributes:
        operators: How many are carried out.
        parameters: Trained numbers in all.
        multiplications: For one picture, forward.
        kinds: Operator → how often it is carried out, by name.
        layers: The operators in which pictures meet trained numbers, in order.
        blocks: The parts that all of a picture passes through, in order.
        nearest: The built-in model that it is like; None where it has no layer of any.
    """

    operators: int
    parameters: int
    multiplications: int
    kinds: Mapping[str, int]
    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...] = field(default=(), metadata=ADDED_LATER)
    nearest: Nearest | None = field(default=None, metadata=ADDED_LATER)


def summary_of(proof: Proof) -> Summary:
    """Returns what a proved graph is made of. Everything follows from the proof; nothing from what its author says."""
    return Summary(
        operators=len(proof.nodes),
        parameters=proof.parameter_numbers,
        multiplications=proof.multiplications,
        kinds=dict(sorted(Counter(node.operator for node in proof.nodes).items())),
        layers=tuple(_layer(proof, found) for found in layers_in(proof)),
        blocks=blocks_of(proof),
        nearest=nearest(proof),
    )


def own_model_of(plan: Plan) -> Summary | None:
    """What the own model of a plan is made of, proved here and now; None where its model is built in, or it has none.

    Raises:
        GraphError: As `check_graph`.
    """
    proof = check_graph(plan)
    return None if proof is None else summary_of(proof)


def _layer(proof: Proof, found: FoundLayer) -> Layer:
    shapes = proof.graph.parameters
    return Layer(
        name=module_of(found.parameters),
        operator=found.node.operator,
        makes=spelled(found.node.value),
        parameters=sum(math.prod(shapes[name]) for name in found.parameters),
        multiplications=found.multiplications,
    )
