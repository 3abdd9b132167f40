"""Translations of traced operators into those of a graph; what has none is refused with its place and a way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import fx
from torch._ops import HigherOrderOperator

from policies.errors import GraphError
from policies.graphs.graph import Graph
from policies.untrusted_text import shown
from researcher.captures.chosen.every import COMPOSED, TRANSLATIONS
from researcher.captures.chosen.rounded import towards_0
from researcher.captures.chosen.written import VIEWS, Shared
from researcher.captures.complexes.pairs import COMPLEX_TOO, in_parts, is_complex
from researcher.captures.composed.advice import ADVICE
from researcher.captures.composed.compared import as_numbers, settle
from researcher.captures.composed.places import is_floats, name_of, place_of, source_of
from researcher.captures.composed.rows import repeated, spread
from researcher.captures.exported import Traced, size_of
from researcher.captures.translated import Call, Later, Repeated, Untold, Untranslatable
from researcher.captures.writer import Operand, Pair, Ref, Writer

_SAME = {
    "alias", "clone", "contiguous", "dropout", "dropout_", "feature_dropout", "lift_fresh_copy", "type_as", "to",
    "_to_copy", "detach", "detach_", "alpha_dropout", "feature_alpha_dropout",
}  # fmt: skip
_KEPT = {"affine_grid_generator", "embedding", "gather", "grid_sampler"}  # read once where it is the same for all
_SKIPPED = {"_assert_scalar", "_assert_tensor_metadata"}
_RANDOM = ("bernoulli", "rand", "normal", "uniform", "multinomial", "poisson", "exponential_", "rrelu", "random")
_WITHOUT_GRADIENTS, _OTHER_PRECISION = "wrap_with_set_grad_enabled", "wrap_with_autocast"


class Translation:
    """The walk over what was traced.

    Args:
        traced: The network.
    """

    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self._writer = Writer()
        self._known: dict[fx.Node, Operand] = {}
        self._order: dict[fx.Node, tuple[int, ...]] = {node: (number,) for number, node in enumerate(traced.nodes)}
        self._shared = Shared(self._known, self._order)
        self._returned: dict[fx.Node, Any] = {}
        self._several = Counter[str]()
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
            self._known[node] = self._begun(node) if node.op == "placeholder" else self._found(node)
            self._shared.alone(node)
            output = self._known[node] if node.name == self._traced.output else output
        if self._several:
            kinds = ", ".join(f"{count} {name.strip('_')}" for name, count in sorted(self._several.items()))
            self.notes.append(f"Written as several operators each, which compute the same: {kinds}.")
        return output

    def _found(self, node: fx.Node) -> Operand:
        """What a node that is no input gives; a part of the network that is called as a function is kept as it is."""
        if node.op == "get_attr":
            return getattr(node.graph.owning_module, str(node.target))
        try:
            return self._within(node) if isinstance(node.target, HigherOrderOperator) else self._translated(node)
        except (RuntimeError, TypeError, AttributeError, IndexError, KeyError) as error:
            told = shown(str(error).strip().split("\n")[0], most=200)
            why = f"the capture cannot follow it ({type(error).__name__}: {told}). Write it with plain operators"
            self._refuse(node, f"{why}, without torch.func, vmap and classes of tensors of your own")
        except ArithmeticError as error:
            self._refuse(node, f"it cannot be computed with the numbers that it is given ({error}). Give it others")

    def _within(self, node: fx.Node) -> Operand:
        """A part under `torch.no_grad()`, or where autocast is off: its nodes in its place."""
        name = name_of(node)
        parts = [place for place, one in enumerate(node.args) if isinstance(one, fx.Node) and one.op == "get_attr"]
        if name not in (_WITHOUT_GRADIENTS, _OTHER_PRECISION) or len(parts) != 1:
            self._refuse(node, "it calls a part of the network as a function. Write it out")
        part, given = self._known[node.args[parts[0]]], node.args[parts[0] + 1 :]  # type: ignore[index]
        inner = tuple(part.graph.nodes)
        told = next((one for one in inner if source_of(one)), node)
        if name == _OTHER_PRECISION and node.args[2]:
            self._refuse(told, "it computes in another precision. Leave autocast out; a plan says in which it trains")
        self._order.update({one: (*self._order[node], number) for number, one in enumerate(inner)})
        taken = iter(given)
        for one in inner:
            if one.op == "placeholder":
                outer: Any = next(taken)
                self._known[one] = self._known[outer]
                self._shared.join(one, outer)
            elif one.op == "output":
                (returned,) = one.args
                self._returned[node] = returned
                found = fx.node.map_arg(returned, self._known.__getitem__)
                stopped = name == _WITHOUT_GRADIENTS and not node.args[0]
                found = list(found) if isinstance(found, tuple) else found
                self._writer.source = source_of(told)
                return self._stopped(found) if stopped else found
            else:
                self._known[one] = self._found(one)
                self._shared.alone(one)
        return None

    def _begun(self, node: fx.Node) -> Operand:
        if node.name in self._traced.inputs:
            return self._traced.inputs[node.name]
        if node.name not in self._traced.tensors:
            raise GraphError(
                "The network's forward holds or makes what is no tensor, such as a generator of random numbers. Make "
                "what it is used for once, in __init__, and register it as a buffer."
            )
        tensor = self._traced.tensors[node.name]
        if node.name in self._traced.parameters:
            return Ref(f"parameter:{self._traced.parameters[node.name]}", tensor.shape, None, trained=True)
        return tensor

    def _translated(self, node: fx.Node) -> Operand:
        name = name_of(node)
        if name == "getitem":
            return self._item(node)
        sizes = not isinstance(node.target, torch._ops.OpOverload) or name.startswith("sym_")
        if sizes or name in _SKIPPED:
            return None  # arithmetic on sizes: what is made of it is read from the results' shapes
        arguments = self._arguments(node)
        if name.startswith(_RANDOM):
            self._refuse(node, "it draws random numbers. Private training adds noise of its own; take it out")
        arguments = self._spread(node, name, arguments)
        tensors = [one for one in _flat(arguments.values()) if isinstance(one, Ref | Pair | torch.Tensor)]
        in_place = name.endswith("_") and not name.endswith("__") and name != "detach_"
        if not any(isinstance(one, Ref | Pair) for one in tensors):
            if in_place or name in VIEWS:
                self._shared.view(node, name, arguments)
            return self._constant(node, arguments)
        before = self._writer.count
        found = self._called(node, name.rstrip("_") if in_place else name, arguments)
        if (number := self._writer.not_finite(before)) is not None:
            self._refuse(node, f"it is given a number that is not finite ({number}). Give it another")
        first = node.args[0] if node.args else None
        if in_place and isinstance(first, fx.Node):
            try:
                self._shared.overwrite(self._writer, node, first, found)
            except Untranslatable as error:
                self._refuse(node, str(error))
        elif name in VIEWS:
            self._shared.view(node, name, arguments)
        return found

    def _called(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> Operand:
        self._writer.source = source_of(node)
        if name == "scaled_dot_product_attention" and arguments.get("dropout_p"):
            self._tell_of_dropout(node)
        value = node.meta["val"]
        like = size_of(value, node) if isinstance(value, torch.Tensor) else None
        parts = [size_of(one, node) for one in value] if isinstance(value, list | tuple) else []
        dtype = (value[0] if parts else value).dtype
        before, call = self._writer.count, Call(self._writer, arguments, like, parts, dtype)
        complex_too = dtype.is_complex or name in COMPLEX_TOO or any(map(is_complex, arguments.values()))
        translate = TRANSLATIONS.get(name)
        if not complex_too and translate is None and name not in _SAME:
            self._refuse(node, ADVICE.get(name, "it has no rule; docs/ref-graph-operators.md lists what has one"))
        try:
            if complex_too and name not in ("detach", "detach_"):
                found = in_parts(call, name)
            else:
                found = translate(call) if translate else self._same(node, name, call)
                if translate:
                    settle(call, name, found, of_floats=any(map(is_floats, node.all_input_nodes)))
        except Untranslatable as error:
            self._refuse(node, str(error))
        if (complex_too or name in COMPOSED) and self._writer.count - before > 1:
            self._several[name] += 1
        return found

    def _same(self, node: fx.Node, name: str, call: Call) -> Operand:
        arguments, value = call.arguments, next(iter(call.arguments.values()))
        if name in ("detach", "detach_"):
            return self._stopped(value)
        if "dropout" in name and arguments.get("p") and arguments.get("train", arguments.get("training", True)):
            self._tell_of_dropout(node)
        source: torch.dtype = node.args[0].meta["val"].dtype  # type: ignore[union-attr]
        of_floats = isinstance(value, Ref) and not value.truth and source.is_floating_point
        if of_floats and call.dtype in (torch.int32, torch.int64):
            return towards_0(call, value)
        return as_numbers(call, value, source)

    def _stopped(self, value: Operand) -> Operand:
        """A value that no gradient passes, where one would."""
        if isinstance(value, list):
            return [self._stopped(one) for one in value]
        if isinstance(value, Pair):
            return Pair(*map(self._stopped, value.parts))
        if not isinstance(value, Ref) or not value.trained:
            return value
        found = self._writer.add("without_gradient", [value], (list(value.shape), value.batch))
        found.truth, found.distinct, found.windows = value.truth, value.distinct, value.windows
        return found

    def _tell_of_dropout(self, node: fx.Node) -> None:
        self.notes.append(f"Dropout was taken out at {source_of(node)}: private training adds noise of its own.")

    def _item(self, node: fx.Node) -> Operand:
        parts, index = self._known[node.args[0]], node.args[1]  # type: ignore[index]
        if not isinstance(parts, list) or not isinstance(index, int):
            self._refuse(node, "it takes a part of something that is no list of values")
        if shown_within := self._returned.get(node.args[0]):  # type: ignore[arg-type]
            self._shared.join(node, shown_within[index])
        else:
            self._shared.view(node, "getitem", {})
        return parts[index]

    def _constant(self, node: fx.Node, arguments: Mapping[str, Operand]) -> Operand:
        """What is computed from constants alone is computed here, once."""
        if any(_is_symbol(one) for one in _flat(arguments.values())):
            sized = fx.node.map_arg(node.args, self._value), fx.node.map_arg(node.kwargs, self._value)
            try:
                return repeated(node, name_of(node), arguments, *sized)
            except Untranslatable as error:
                self._refuse(node, ADVICE.get(name_of(node), str(error)))
        given: Any = fx.node.map_arg(node.args, self._known.__getitem__)
        named: Any = fx.node.map_arg(node.kwargs, self._known.__getitem__)
        function: Any = node.target
        found = function(*given, **named)
        return list(found) if isinstance(found, tuple) else found

    def _spread(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> dict[str, Operand]:
        """The arguments, with what is the same for each picture as values of the graph; a table is looked up once."""

        def told(one: Operand) -> Operand:
            if isinstance(one, list | tuple):
                return [told(part) for part in one]
            if isinstance(one, Untold):
                self._refuse(node, one.why)
            if isinstance(one, Later):
                return one.made()
            return spread(self._writer, one) if isinstance(one, Repeated) and name not in _KEPT else one

        self._writer.source = source_of(node)
        try:
            return {key: told(one) for key, one in arguments.items()}
        except Untranslatable as error:
            self._refuse(node, str(error))

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

    def _refuse(self, node: fx.Node, why: str) -> NoReturn:
        raise GraphError(f"{place_of(node)} is refused: {why}.")


def _flat(values: Any) -> list[Operand]:
    found: list[Operand] = []
    for one in values:
        found += _flat(one) if isinstance(one, list | tuple) else [one]
    return found


def _is_symbol(value: Operand) -> bool:
    return isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)
