"""A graph as a model: its nodes are carried out in order, by our own functions. Its weights leave as any model's do.

Layers are called as every engine knows them, with the pictures on the first axis. A parameter that meets pictures
outside of a layer is copied for each of them, so no parameter's gradient is ever a sum over pictures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from datasites.training.graphs.copies import Holder, computed_from, for_each_picture
from datasites.training.graphs.cuts import find_cuts
from datasites.training.graphs.functions import carried_out, tensor_of
from policies.errors import GraphError
from policies.graphs.graph import PICTURES
from policies.graphs.proof import Proof, ProvedNode
from policies.graphs.values import Value

_PARAMETER, _CONSTANT = "parameter:", "constant:"


@dataclass(frozen=True)
class _FromParameters:
    """A value that is the same for all pictures and is computed from parameters: the nodes in order, and these."""

    nodes: tuple[tuple[str, ProvedNode], ...]
    parameters: tuple[str, ...]


class GraphModel(nn.Module):
    """The model that a proved graph describes; its parameters are zero until weights are loaded.

    Guarantees:
        It carries out the nodes of `proof` and nothing else, each by a function of `functions`.

    Args:
        proof: Of the graph, as `policies.graphs.proof.prove` returned it.

    Raises:
        GraphError: A parameter has a name that a module cannot hold.
    """

    def __init__(self, proof: Proof) -> None:
        super().__init__()
        self._nodes = proof.nodes
        self._values = {f"node:{number}": node.value for number, node in enumerate(proof.nodes)}
        self._by_name = {f"node:{number}": node for number, node in enumerate(proof.nodes)}
        self._constant_names = {f"{_CONSTANT}{digest}": f"constant_{digest}" for digest in proof.graph.constants}
        self._from_parameters = self._frontier()
        self._cuts = find_cuts(proof.nodes)
        for digest, constant in proof.graph.constants.items():
            self.register_buffer(f"constant_{digest}", tensor_of(constant), persistent=False)
        for name, shape in proof.graph.parameters.items():  # last, so that none takes a name of what is above
            _hold(self, name, shape)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns logits, float32, (B, num_classes), for pictures, float32, (B, channels, height, width)."""
        rows = pictures.shape[0]  # which an export keeps open
        found: dict[str, torch.Tensor] = {PICTURES: pictures}
        for number, node in enumerate(self._nodes):
            if node.value.batch is None:
                if not node.value.trained:
                    found[f"node:{number}"] = carried_out(node, [self._read(name, found) for name in node.inputs], 1)
                continue
            if cut := self._cuts.get(f"node:{number}"):
                if f"node:{number}" not in found:
                    found |= cut.parts(found[cut.source])
                continue
            inputs = [self._read(name, found) for name in node.inputs]
            for place in node.copied:
                inputs[place] = _placed(for_each_picture(inputs[place], rows), node.value)
            found[f"node:{number}"] = self._layer(node, inputs, rows)
        return found[f"node:{len(self._nodes) - 1}"]

    def _read(self, name: str, found: dict[str, torch.Tensor]) -> torch.Tensor:
        """A value that a node is given."""
        if name not in found:
            if name in self._from_parameters:
                found[name] = self._computed(self._from_parameters[name], name)
            else:
                found[name] = self._held(name)
        return found[name]

    def _held(self, name: str) -> torch.Tensor:
        """A parameter or a constant, looked up anew each time, as an engine may have put another in its place."""
        if name.startswith(_CONSTANT):
            return cast(torch.Tensor, getattr(self, self._constant_names[name]))
        module: Any = self
        for part in name.removeprefix(_PARAMETER).split("."):
            module = getattr(module, part)
        return cast(torch.Tensor, module)

    def _computed(self, plan: _FromParameters, wanted: str) -> torch.Tensor:
        names = plan.parameters
        inside = {name for name, _ in plan.nodes}
        others = {n for _, node in plan.nodes for n in node.inputs if n not in inside and n not in names}
        constants = {name: self._held(name) for name in others}

        def compute(*parameters: torch.Tensor) -> torch.Tensor:
            found = {**constants, **dict(zip(names, parameters, strict=True))}
            for name, node in plan.nodes:
                found[name] = carried_out(node, [found[one] for one in node.inputs], 1)
            return found[wanted]

        return computed_from(compute, *(self._held(name) for name in names))

    def _layer(self, node: ProvedNode, inputs: list[torch.Tensor], rows: int) -> torch.Tensor:
        """A node; layers that take any leading axes get each picture as one row of the first."""
        batch = cast(int, node.value.batch)
        if node.operator not in ("linear", "layer_norm") or (batch == 0 and node.value.shape[0] == 1):
            return carried_out(node, inputs, rows)
        moved = inputs[0].movedim(batch, 0)
        by_picture = moved.reshape(rows, node.value.shape[batch], *moved.shape[1:])
        return carried_out(node, [by_picture, *inputs[1:]], rows).flatten(0, 1).movedim(0, batch)

    def _frontier(self) -> dict[str, _FromParameters]:
        """The values that are computed from parameters and read by nodes with pictures."""
        wanted = {
            name
            for node in self._nodes
            if node.value.batch is not None
            for name in node.inputs
            if name in self._values and self._values[name].batch is None and self._values[name].trained
        }
        return {name: self._behind(name) for name in wanted}

    def _behind(self, wanted: str) -> _FromParameters:
        """The nodes and parameters that a value is computed from."""
        needed, names = {wanted}, [wanted]
        while names:
            node = self._by_name.get(names.pop())
            more = set(node.inputs if node else ()) - needed
            needed |= more
            names += more
        nodes = tuple((name, node) for name, node in self._by_name.items() if name in needed)
        return _FromParameters(nodes, tuple(sorted(name for name in needed if name.startswith(_PARAMETER))))


def _placed(copies: torch.Tensor, value: Value) -> torch.Tensor:
    """Brings copies, (rows, *shape), to the axes of the value that they are combined to, the rows to its pictures'."""
    batch, rows = cast(int, value.batch), copies.shape[0]  # which an export keeps open, and not its len()
    shape = [1] * (len(value.shape) + 1 - copies.dim()) + list(copies.shape[1:])
    placed = copies.reshape(rows, *shape[:batch], *shape[batch + 1 :])
    if (parts := value.shape[batch]) > 1:
        placed = placed.unsqueeze(1).expand(rows, parts, *placed.shape[1:]).flatten(0, 1)
    return placed.movedim(0, batch)


def _hold(model: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """Puts a parameter under its name, within modules that hold and do nothing."""
    module, (*parts, last) = model, name.split(".")
    try:
        for part in parts:
            if part not in dict(module.named_children()):
                module.add_module(part, Holder())
            module = module.get_submodule(part)
        module.register_parameter(last, nn.Parameter(torch.zeros(shape)))
    except KeyError as error:
        raise GraphError(
            f"Parameter {name!r} has a name that the interpreter or torch keeps for itself. Rename it in the model."
        ) from error
