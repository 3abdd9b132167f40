"""Translations of traced operators into those of a graph; what has none is refused with its place and a way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import fx

from policies.errors import GraphError
from policies.graphs.graph import Graph
from researcher.captures.copy_translations import COPIES
from researcher.captures.exported import Traced, place_of, size_of, source_of
from researcher.captures.layer_translations import LAYERS
from researcher.captures.move_translations import MOVES
from researcher.captures.number_translations import NUMBERS
from researcher.captures.translated import Call, Repeated, Untranslatable
from researcher.captures.writer import Operand, Ref, Writer

_TRANSLATIONS = {**NUMBERS, **LAYERS, **MOVES, **COPIES}
_SAME = {
    "alias", "clone", "contiguous", "dropout", "dropout_", "feature_dropout", "lift_fresh_copy", "type_as", "to",
    "_to_copy", "detach", "detach_", "alpha_dropout",
}  # fmt: skip
_VIEWS = {
    "alias", "chunk", "contiguous", "detach", "detach_", "dropout", "expand", "expand_as", "feature_dropout", "flatten",
    "movedim", "mT", "narrow", "numpy_T", "permute", "reshape", "select", "slice", "split", "split_with_sizes",
    "squeeze", "swapaxes", "t", "to", "transpose", "type_as", "unbind", "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
_SKIPPED = {"_assert_scalar", "_assert_tensor_metadata"}
_ADVICE = {
    "batch_norm": "it mixes the pictures of a batch. Use GroupNorm",
    "instance_norm": "it has no rule. Use GroupNorm with one group for each channel",
    "lstm": "its steps are hidden in one function. Use convolutions or attention over the positions",
    "gru": "its steps are hidden in one function. Use convolutions or attention over the positions",
    "sort": "what is sorted has no rule. Use the largest number, or attention",
    "topk": "what is sorted has no rule. Use the largest number, or attention",
    "conv_transpose2d": "it has no per-picture rule. Use resizing and a convolution",
}
_RANDOM = ("bernoulli", "rand", "normal", "uniform", "multinomial", "poisson", "exponential_", "rrelu", "random")

_ROWS = "it makes a value of as many rows as the batch has pictures. Let broadcasting do that"


class Translation:
    """The walk over what was traced.

    Args:
        traced: The network.
    """

    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self._writer = Writer()
        self._known: dict[fx.Node, Operand] = {}
        self._groups: dict[fx.Node, set[fx.Node]] = {}
        self._order = {node: number for number, node in enumerate(traced.nodes)}
        self.notes: list[str] = []

    def graph(self, image_shape: tuple[int, int, int], num_classes: int) -> Graph:
        """Translates everything.

        Args:
            image_shape: (height, width, channels).
            num_classes: Logits of a picture.

        Raises:
            GraphError: An operator without a translation, with its place and a way out.
        """
        output = self._walked()
        if not isinstance(output, Ref):
            raise GraphError("The network must return logits that are computed from the pictures.")
        shapes = {own: self._traced.tensors[name].shape for name, own in self._traced.parameters.items()}
        return self._writer.graph(output.name, image_shape, num_classes, shapes)

    def _walked(self) -> Operand:
        """Translates node by node; what the traced function returns."""
        output = None
        for node in self._traced.nodes:
            if node.op == "output":
                continue
            if node.op == "get_attr":
                self._refuse(node, "it calls a part of the network as a function. Write it out")
            self._known[node] = self._begun(node) if node.op == "placeholder" else self._translated(node)
            self._groups.setdefault(node, {node})
            output = self._known[node] if node.name == self._traced.output else output
        return output

    def _begun(self, node: fx.Node) -> Operand:
        if node.name in self._traced.inputs:
            return self._traced.inputs[node.name]
        tensor = self._traced.tensors[node.name]
        if node.name in self._traced.parameters:
            return Ref(f"parameter:{self._traced.parameters[node.name]}", tensor.shape, None)
        return tensor

    def _translated(self, node: fx.Node) -> Operand:
        name = _name(node)
        if name == "getitem":
            return self._item(node)
        sizes = not isinstance(node.target, torch._ops.OpOverload) or name.startswith("sym_")
        if sizes or name in _SKIPPED:
            return None  # arithmetic on sizes: what is made of it is read from the results' shapes
        arguments = self._arguments(node)
        if name.startswith(_RANDOM):
            self._refuse(node, "it draws random numbers. Private training adds noise of its own; take it out")
        if name != "embedding" and any(isinstance(one, Repeated) for one in _flat(arguments.values())):
            self._refuse(node, _ROWS)
        tensors = [one for one in _flat(arguments.values()) if isinstance(one, Ref | torch.Tensor)]
        if not any(isinstance(one, Ref) for one in tensors):
            return self._constant(node, arguments)
        in_place = name.endswith("_") and not name.endswith("__") and name != "detach_"
        found = self._called(node, name.rstrip("_") if in_place else name, arguments)
        first = node.args[0] if node.args else None
        if in_place and isinstance(first, fx.Node):
            self._overwrite(node, first, found)
        elif name in _VIEWS:
            self._join(node)
        return found

    def _called(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> Operand:
        self._writer.source = source_of(node)
        if name in _SAME:
            return self._same(node, name, arguments)
        translate = _TRANSLATIONS.get(name)
        if translate is None:
            self._refuse(node, _ADVICE.get(name, "it has no rule; docs/ref-graph-operators.md lists what has one"))
        value = node.meta["val"]
        like = size_of(value, node) if isinstance(value, torch.Tensor) else None
        parts = [size_of(one, node) for one in value] if isinstance(value, list | tuple) else []
        try:
            return translate(Call(self._writer, arguments, like, parts))
        except Untranslatable as error:
            self._refuse(node, str(error))

    def _same(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> Operand:
        value = next(iter(arguments.values()))
        if name in ("detach", "detach_"):
            self._refuse(node, "it stops a gradient. Freeze parameters instead, or leave it out")
        if "dropout" in name and arguments.get("p") and arguments.get("train", arguments.get("training", True)):
            told = f"Dropout was taken out at {source_of(node)}: private training adds noise of its own."
            self.notes.append(told)
        if node.meta["val"].dtype != torch.float32:
            self._refuse(node, f"it computes in {node.meta['val'].dtype}. Use float32 throughout")
        return value

    def _item(self, node: fx.Node) -> Operand:
        parts, index = self._known[node.args[0]], node.args[1]  # type: ignore[index]
        if not isinstance(parts, list) or not isinstance(index, int):
            self._refuse(node, "it takes a part of something that is no list of values")
        self._join(node)
        return parts[index]

    def _constant(self, node: fx.Node, arguments: Mapping[str, Operand]) -> Operand:
        """What is computed from constants alone is computed here, once."""
        if any(_is_symbol(one) for one in _flat(arguments.values())):
            return self._repeated(node, arguments)
        given: Any = fx.node.map_arg(node.args, self._known.__getitem__)
        named: Any = fx.node.map_arg(node.kwargs, self._known.__getitem__)
        function: Any = node.target
        found = function(*given, **named)
        return list(found) if isinstance(found, tuple) else found

    def _repeated(self, node: fx.Node, arguments: Mapping[str, Operand]) -> Repeated:
        """A constant that is expanded to a row for each picture."""
        base = arguments.get("self")
        if _name(node) != "expand" or not isinstance(base, torch.Tensor):
            self._refuse(node, _ROWS)
        shape, batch = size_of(node.meta["val"], node)
        if batch is None or shape[batch] != 1:
            self._refuse(node, _ROWS)
        return Repeated(base.expand(shape))

    def _arguments(self, node: fx.Node) -> Mapping[str, Operand]:
        """Every argument by its name, those that were not given with their defaults."""
        assert isinstance(node.target, torch._ops.OpOverload)  # noqa: S101 - looked at before
        given = fx.node.map_arg(node.args, self._value)
        named = fx.node.map_arg(node.kwargs, self._value)
        found: dict[str, Operand] = {}
        for number, argument in enumerate(node.target._schema.arguments):
            if number < len(given):
                found[argument.name] = given[number]
            else:
                found[argument.name] = named.get(
                    argument.name, argument.default_value if argument.has_default_value() else None
                )
        return found

    def _value(self, node: fx.Node) -> Operand:
        known = self._known[node]
        return node.meta["val"] if known is None else known

    def _join(self, node: fx.Node) -> None:
        """A view shares its numbers with what it is a view of."""
        base = node.args[0]
        if isinstance(base, fx.Node):
            self._groups[node] = self._groups[base]
            self._groups[base].add(node)

    def _overwrite(self, node: fx.Node, written: fx.Node, found: Operand) -> None:
        """A value is written into: who reads it later reads the new one; who sees it through a view is refused."""
        if isinstance(self._known[written], Ref) and written.op == "placeholder":
            self._refuse(node, "it writes into the pictures or a parameter. Use the operator that makes a new value")
        here = self._order[node]
        for other in self._groups[written]:
            if other is not written and any(self._order[user] > here for user in other.users):
                self._refuse(
                    node, "it writes into a value that is read elsewhere. Use the operator that makes a new one"
                )
        self._known[written] = found
        self._groups[node] = self._groups[written]
        self._groups[written].add(node)

    def _refuse(self, node: fx.Node, why: str) -> NoReturn:
        raise GraphError(f"{place_of(node)} is refused: {why}.")


def _name(node: fx.Node) -> str:
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name.split("::")[-1])
    return str(getattr(node.target, "__name__", node.target))


def _flat(values: Any) -> list[Operand]:
    found: list[Operand] = []
    for one in values:
        found += _flat(one) if isinstance(one, list | tuple) else [one]
    return found


def _is_symbol(value: Operand) -> bool:
    return isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)
