"""Costs of a graph, summed node by node as a model carries its nodes out: some of them again and again.

What is computed from parameters alone is computed anew for each such value that a node with pictures reads, with all
nodes behind it: the engine follows each of these values to its parameters by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import GraphError
from policies.graphs.limits import GraphLimits
from policies.graphs.values import Value

_ADVICE = "Capture a smaller model, or for smaller pictures."


class Costs:
    """What the nodes of a graph cost, those before included.

    Attributes:
        multiplications: For one picture, forward.
        numbers: That are made for one picture.
        carried_out: Nodes, as often as they are carried out.
    """

    def __init__(self, limits: GraphLimits) -> None:
        self.multiplications = self.numbers = self.carried_out = 0
        self._limits = limits
        self._own: list[tuple[int, int]] = []
        self._behind: dict[str, int] = {}  # of values without pictures: which nodes they are made by, a bit for each
        self._from_parameters: set[str] = set()
        self._read: set[str] = set()

    def add(self, inputs: Sequence[str], value: Value, multiplications: int, numbers: int, place: str) -> None:
        """Adds the next node.

        Args:
            inputs: Names of what it is given.
            value: What it gives.
            multiplications: Of one time.
            numbers: Made in one time, those that a backward pass keeps besides the result included.
            place: The node, for people.

        Raises:
            GraphError: The graph so far costs more than the limits allow.
        """
        number = len(self._own)
        self._own.append((multiplications, numbers))
        if value.batch is None:
            behind = 1 << number
            for name in inputs:
                behind |= self._behind.get(name, 0)
            self._behind[f"node:{number}"] = behind
            if value.trained:  # which costs where pictures meet it
                self._from_parameters.add(f"node:{number}")
                return
        else:
            for name in (self._from_parameters & set(inputs)) - self._read:
                self._read.add(name)
                self._count(self._behind[name], place)
        self._count(1 << number, place)

    def _count(self, nodes: int, place: str) -> None:
        self.carried_out += nodes.bit_count()
        if self.carried_out > self._limits.nodes:
            raise GraphError(
                f"Up to {place} the graph carries out {self.carried_out:,} nodes, as what is computed from parameters "
                f"is computed anew for each such value that pictures meet; the limit is {self._limits.nodes:,}. Let "
                "them meet fewer such values."
            )
        while nodes:
            multiplications, numbers = self._own[nodes.bit_length() - 1]
            nodes ^= 1 << (nodes.bit_length() - 1)
            self.multiplications += multiplications
            self.numbers += numbers
        if self.multiplications > self._limits.multiplications:
            raise GraphError(
                f"Up to {place} the graph takes {self.multiplications:,} multiplications for a picture; the limit is "
                f"{self._limits.multiplications:,}. {_ADVICE}"
            )
        if self.numbers > self._limits.activation_numbers:
            raise GraphError(
                f"Up to {place} the graph makes {self.numbers:,} numbers for a picture; the limit is "
                f"{self._limits.activation_numbers:,}. {_ADVICE}"
            )
