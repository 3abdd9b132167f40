"""Layers of a graph: where a picture meets trained numbers, whatever is computed of these first. Public."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policies.graphs.proof import Proof, ProvedNode

PARAMETER = "parameter:"


@dataclass(frozen=True)
class FoundLayer:
    """An operator in which pictures meet trained numbers.

    Attributes:
        node: The operator.
        parameters: Names of the trained numbers that it reads, itself or by operators on trained numbers alone, as of
            a weight that is normalised or reshaped; in order, each once.
        multiplications: For one picture, forward, those of such operators included where no layer before has them.
    """

    node: ProvedNode
    parameters: tuple[str, ...]
    multiplications: int


def layers_in(proof: Proof) -> Iterator[FoundLayer]:
    """Yields a proved graph's layers in order.

    Args:
        proof: The graph and what is known of each node.
    """
    made: dict[str, tuple[str, ...]] = {}  # node that no picture is in → the trained numbers that it is made of
    costs: dict[str, int] = {}
    for number, node in enumerate(proof.nodes):
        read = tuple(dict.fromkeys(one for name in node.inputs for one in made.get(name, _named(name))))
        cost = node.multiplications + sum(costs.pop(name, 0) for name in dict.fromkeys(node.inputs))
        if node.value.batch is None:
            made[f"node:{number}"], costs[f"node:{number}"] = read, cost
        elif read:
            yield FoundLayer(node, read, cost)


def _named(name: str) -> tuple[str, ...]:
    """The parameter that an input is, or nothing."""
    return (name.removeprefix(PARAMETER),) if name.startswith(PARAMETER) else ()
