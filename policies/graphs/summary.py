"""A graph in short, for people who decide on it: its layers and operators, and what each costs. Public."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from policies.graphs.proof import Proof, ProvedNode
from policies.graphs.values import spelled

_PARAMETER = "parameter:"


@dataclass(frozen=True)
class Layer:
    """An operator with parameters of its own.

    Attributes:
        name: The module that holds them, as their names say.
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
        layers: The operators with parameters, in order.
    """

    operators: int
    parameters: int
    multiplications: int
    kinds: Mapping[str, int]
    layers: tuple[Layer, ...]


def summary_of(proof: Proof) -> Summary:
    """Returns what a proved graph is made of. Everything follows from the proof; nothing from what its author says."""
    return Summary(
        operators=len(proof.nodes),
        parameters=proof.parameter_numbers,
        multiplications=proof.multiplications,
        kinds=dict(sorted(Counter(node.operator for node in proof.nodes).items())),
        layers=tuple(layer for node in proof.nodes if (layer := _layer(proof, node)) is not None),
    )


def _layer(proof: Proof, node: ProvedNode) -> Layer | None:
    names = [name.removeprefix(_PARAMETER) for name in dict.fromkeys(node.inputs) if name.startswith(_PARAMETER)]
    if not names:
        return None
    shapes = proof.graph.parameters
    return Layer(
        name=_common(names),
        operator=node.operator,
        makes=spelled(node.value),
        parameters=sum(math.prod(shapes[name]) for name in names),
        multiplications=node.multiplications,
    )


def _common(names: list[str]) -> str:
    """The module that holds all of these parameters; the parameter itself where there is one alone."""
    if len(names) == 1:
        return names[0].removesuffix(".weight")
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, columns)
    return ".".join(parts[0] for parts in shared) or names[0]
