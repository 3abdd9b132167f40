"""Values that are written into: what is written takes its place in the value, which is put together anew.

torch's views share their numbers with what they are views of. A graph's values share none, so a part that is written
is put between what stands beside it, and who reads the whole afterwards reads the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from researcher.captures.composed.compared import CHOSEN, as_numbers, filling
from researcher.captures.composed.rows import spread
from researcher.captures.translated import Call, Like, Repeated, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Pair, Ref, Writer, spelled

VIEWS = {
    "adjoint",    "alias", "alpha_dropout", "broadcast_tensors", "chunk", "contiguous", "detach", "detach_", "diagonal",
    "dropout", "einsum", "expand", "expand_as", "feature_alpha_dropout", "feature_dropout", "flatten", "moveaxis",
    "movedim", "mH", "mT", "narrow", "numpy_T", "permute", "reshape", "reshape_as", "select", "slice", "split",
    "split_with_sizes", "squeeze", "swapaxes", "swapdims", "t", "tensor_split", "to", "transpose", "type_as",
    "unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as", "_conj", "imag", "real", "view_as_complex",
    "view_as_real",
}  # fmt: skip
_OF_LISTS = {"broadcast_tensors", "einsum"}  # which may show the numbers of each value that they are given
_ELSEWHERE = "it writes into a value of which an earlier view is read afterwards. Make that view after what is written"
_GIVEN = "it writes into the pictures, a parameter or a buffer. Write into a copy, as x.clone() makes one"


@dataclass(frozen=True)
class Part:
    """Which numbers of a value a view shows: some along an axis.

    Attributes:
        base: What it is a view of.
        axis: Of the base.
        places: Along the axis, none of them twice.
    """

    base: fx.Node
    axis: int
    places: Sequence[int]


class Shared:
    """Which values share their numbers.

    Args:
        known: What each traced value is known as; renewed where one is written into.
        order: Where each stands.
    """

    def __init__(self, known: dict[fx.Node, Operand], order: Mapping[fx.Node, tuple[int, ...]]) -> None:
        self._known = known
        self._order = order
        self._groups: dict[fx.Node, set[fx.Node]] = {}
        self._parts: dict[fx.Node, Part] = {}

    def alone(self, node: fx.Node) -> None:
        """Notes a value, which shares nothing unless it is known that it does."""
        self._groups.setdefault(node, {node})

    def join(self, node: fx.Node, *bases: fx.Node) -> None:
        """Notes that a value shares its numbers with others, as a view does."""
        group = {node}.union(*(self._groups[base] for base in bases))
        self._groups.update(dict.fromkeys(group, group))

    def view(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> None:
        """Notes a view.

        Args:
            node: The view, whose first argument, or each of a list, is what it is a view of.
            name: Of torch's operator.
            arguments: Of the operator by their names.
        """
        base = node.args[0]
        if name in _OF_LISTS:
            self.join(node, *node.all_input_nodes)
        if not isinstance(base, fx.Node):
            return
        self.join(node, base)
        value = arguments.get("self")
        if name in ("select", "slice") and isinstance(value, Ref | Pair | torch.Tensor):
            axis, size = arguments["dim"] % len(value.shape), value.shape[arguments["dim"]]
            batch = None if isinstance(value, torch.Tensor) else value.batch
            if name == "select":
                start = arguments["index"] % size
                self._parts[node] = Part(base, axis, range(start, start + 1))
            elif axis != batch and not isinstance(arguments["end"], torch.SymInt):
                places = range(size)[slice(arguments["start"], arguments["end"], arguments["step"])]
                self._parts[node] = Part(base, axis, places)
            elif axis == batch:
                self._parts[node] = Part(base, axis, range(0))

    def overwrite(self, writer: Writer, node: fx.Node, written: fx.Node, found: Operand) -> None:
        """A value is written into: who reads it, or what it is a part of, later reads the new one.

        Args:
            writer: Takes the nodes that put it together.
            node: Of the operator that writes.
            written: What is written into.
            found: What it is afterwards.

        Raises:
            Untranslatable: It is one of the pictures, a parameter or a buffer, or something else shows the same numbers
                later.
        """
        seen, here, new = {written}, self._order[node], {written: found}
        one, value = written, found
        while one in self._parts:
            part = self._parts[one]
            one = part.base
            value = _with_part(writer, self._known[one], part, value)
            new[one] = value
            seen.add(one)
        if one.op == "placeholder":
            raise Untranslatable(_GIVEN)
        if any(self._order[user] > here for other in self._groups[written] - seen for user in other.users):
            raise Untranslatable(_ELSEWHERE)
        self._known |= new
        self.join(node, written)
        if written in self._parts:
            self._parts[node] = self._parts[written]


def _with_part(writer: Writer, base: Operand, part: Part, value: Operand) -> Operand:
    """A value with some numbers along an axis in the place of its own."""
    base = spread(writer, base) if isinstance(base, Repeated) else base
    if isinstance(base, Pair) or (isinstance(base, torch.Tensor) and base.is_complex()):
        halves = zip(_parts(base), _parts(value), strict=True)
        return Pair(*(_with_part(writer, one, part, other) for one, other in halves))
    base = writer.read(base)
    shape, batch = list(base.shape), base.batch
    if not part.places and part.axis == batch:  # all pictures
        return writer.read(value)
    if part.axis == batch:
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    own = [len(part.places) if axis == part.axis else size for axis, size in enumerate(shape)]
    new = writer.read(value)
    if (list(new.shape), new.batch) != (own, batch):
        new = writer.add("reshape", [new], (own, batch), shape=spelled(own, batch))
    truth = base.truth and new.truth
    if isinstance(part.places, range) and part.places.step == 1:
        ends = ((0, part.places.start), (part.places.stop, shape[part.axis]))
        beside = [_piece(writer, base, part.axis, *end) if end[0] < end[1] else None for end in ends]
        pieces = [piece for piece in (beside[0], new, beside[1]) if piece is not None]
        found = writer.add("concatenate", pieces, (shape, batch), axis=part.axis) if len(pieces) > 1 else new
    else:
        index = torch.arange(shape[part.axis])
        index[list(part.places)] = shape[part.axis] + torch.arange(len(part.places))
        both = [size + own[axis] if axis == part.axis else size for axis, size in enumerate(shape)]
        beside_it = writer.add("concatenate", [base, new], (both, batch), axis=part.axis)
        found = writer.add("take", [beside_it, index], (shape, batch), axis=part.axis)
    found.truth = truth
    return found


def _parts(value: Operand) -> tuple[Operand, Operand]:
    """Both parts of a complex value."""
    return value.parts if isinstance(value, Pair) else (value.real.contiguous(), value.imag.contiguous())


def _piece(writer: Writer, base: Ref, axis: int, start: int, stop: int) -> Ref:
    shape = [stop - start if number == axis else size for number, size in enumerate(base.shape)]
    return writer.add("slice", [base], (shape, base.batch), axis=axis, start=start, stop=stop, step=1)


def _copied(call: Call) -> Operand:
    """What is written, in the shape and type of what it is written into."""
    given = call.arguments["src"]
    value = call.writer.read(as_numbers(call, call.floats("src"), _float_or_whole(call, given)))
    return value if shape_of(value) == call.like else call.add("expand", value, shape=spelled(*call.like))


def _float_or_whole(call: Call, given: Operand) -> torch.dtype:
    return given.dtype if isinstance(given, torch.Tensor) else call.dtype


def _filled(number: float | None) -> Translate:
    def translate(call: Call) -> Ref:
        value = torch.tensor(number) if number is not None else filling(call, "value")
        return call.add("expand", _of_axes(call, value), shape=spelled(*call.like))

    return translate


def _of_axes(call: Call, value: Operand) -> Operand:
    return value if isinstance(value, Ref) else value.reshape([1] * len(call.like[0]))


def _in_place_of(call: Call) -> Operand:
    """`select_scatter` and `slice_scatter`: a part of a value in another's place."""
    value = call.value("self")
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch:
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    size = value.shape[axis]
    if "index" in call.arguments:
        start = call.plain("index") % size
        places = range(start, start + 1)
    else:
        places = range(size)[slice(call.plain("start"), call.plain("end"), call.plain("step"))]
    nothing = fx.Graph().placeholder("base")
    return _with_part(call.writer, value, Part(nothing, axis, places), call.floats("src"))


def _at_places(call: Call) -> Operand:
    """`x[:, places] = numbers`, where the places are constants."""
    value, indices = call.value("self"), call.arguments["indices"]
    given = [(axis, one) for axis, one in enumerate(indices) if one is not None]
    places = given[0][1] if len(given) == 1 and isinstance(given[0][1], torch.Tensor) else None
    if places is None or places.dtype == torch.bool or places.dim() != 1 or call.arguments.get("accumulate"):
        return CHOSEN["index_put"](call)
    axis = given[0][0]
    named = [one % value.shape[axis] for one in places.tolist()]
    if len({*named}) != len(named) or axis == value.batch:
        raise Untranslatable("it writes to a place twice, or over the pictures. Write each place of a picture once")
    own: Like = [len(named) if number == axis else size for number, size in enumerate(value.shape)], value.batch
    new = call.writer.read(call.floats("values"))
    new = new if shape_of(new) == own else call.add("expand", new, like=own, shape=spelled(*own))
    return _with_part(call.writer, value, Part(fx.Graph().placeholder("base"), axis, named), new)


WRITTEN: dict[str, Translate] = {
    "copy": _copied,
    "fill": _filled(None),
    "index_put": _at_places,
    "select_scatter": _in_place_of,
    "slice_scatter": _in_place_of,
    "zero": _filled(0.0),
}
"""Translations by the names of torch's operators."""
