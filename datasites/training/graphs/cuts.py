"""Parts that a graph cuts a value into, found before it runs: cut at once, their gradients are joined at once.

Each slice by itself has a gradient as large as the whole value, zero elsewhere, which is then added to the others'. An
attention layer's queries, keys and values are such parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from policies.graphs.proof import ProvedNode

_SLICE = "slice"


@dataclass(frozen=True)
class Cut:
    """A value that is cut into parts which lie behind each other and leave nothing out.

    Attributes:
        source: The value's name.
        axis: Along which it is cut; not that of the pictures.
        lengths: Of the parts.
        names: Of the parts, in order.
    """

    source: str
    axis: int
    lengths: tuple[int, ...]
    names: tuple[str, ...]

    def parts(self, value: torch.Tensor) -> dict[str, torch.Tensor]:
        """Returns views of the value, by the parts' names.

        Args:
            value: Of any shape whose axis `axis` is as long as the parts together.
        """
        return dict(zip(self.names, value.split(self.lengths, dim=self.axis), strict=True))


def find_cuts(nodes: Sequence[ProvedNode]) -> dict[str, Cut]:
    """Returns, by the name of each slice that is one of several parts, the cut that it is of.

    Args:
        nodes: Of a proved graph, in order.
    """
    slices: dict[tuple[str, int], dict[int, tuple[int, str]]] = {}
    for number, node in enumerate(nodes):
        if node.operator != _SLICE or node.value.batch in (None, node.attributes["axis"]):
            continue
        if node.attributes["step"] == 1:
            start, stop = node.attributes["start"], node.attributes["stop"]
            slices.setdefault((node.inputs[0], node.attributes["axis"]), {})[start] = (stop, f"node:{number}")
    found = (_cut(source, axis, by_start) for (source, axis), by_start in slices.items())
    ends = {f"node:{number}": node.value.shape for number, node in enumerate(nodes)}
    whole = [cut for cut in found if cut.source in ends and sum(cut.lengths) == ends[cut.source][cut.axis]]
    return {name: cut for cut in whole if len(cut.names) > 1 for name in cut.names}


def _cut(source: str, axis: int, by_start: dict[int, tuple[int, str]]) -> Cut:
    """The parts from the beginning on, each of which begins where the one before it ends."""
    lengths, names, start = [], [], 0
    while start in by_start:
        stop, name = by_start[start]
        lengths.append(stop - start)
        names.append(name)
        start = stop
    return Cut(source, axis, tuple(lengths), tuple(names))
