"""Translates a traced loss, and takes off what it adds up over pictures: the platform adds up each picture's own.

Sums and means over pictures, and what is linear in them, are followed as one number for each picture. Anything else
that is made of such a sum would let pictures meet, and is refused with its place.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx

from policies.errors import GraphError
from policies.graphs.losses.loss_graph import LossGraph
from researcher.captures.composed.places import source_of
from researcher.captures.loss_functions import LOSSES, MEAN, SUM
from researcher.captures.translated import Call, Like, Untranslatable
from researcher.captures.translation import Translation
from researcher.captures.writer import Operand, Ref

_ROWS: Like = ([1], 0)
_KINDS = {"mean": MEAN, "sum": SUM}
_LABELS = "the label comes as ones and zeros: multiply by it, and sum over the classes"
_ADVICE = {
    "argmax": f"it has no gradient; {_LABELS}",
    "gather": f"its index is made of a picture; {_LABELS}",
    "index": f"its index is made of a picture; {_LABELS}",
    "nll_loss_nd": f"its target is a number of a class; {_LABELS}",
    "one_hot": f"it is one already; {_LABELS}",
}
_APART = (
    "it makes something of a sum over pictures, so that what one picture's loss is would depend on the others. Give a "
    "loss for each picture, with reduction='none', and let a mean or sum over pictures stand last"
)


class _Reduced(Ref):
    """A sum or a mean over pictures, known by each picture's part of it.

    Args:
        rows: Each picture's part, (B,).
        kind: `MEAN` or `SUM`.
    """

    def __init__(self, rows: Ref, kind: int) -> None:
        super().__init__(rows.name, rows.shape, rows.batch, trained=rows.trained)
        self.rows, self.kind = rows, kind


class LossTranslation(Translation):
    """The walk over a loss that was traced."""

    def loss(self, label_kind: str, num_classes: int) -> LossGraph:
        """Translates everything.

        Args:
            label_kind: What the loss is given as a label.
            num_classes: Logits of a picture.

        Raises:
            GraphError: An operator without a translation, with its place and a way out.
        """
        output = self._walked()
        if not isinstance(output, Ref) or not output.name.startswith("node:"):
            raise GraphError("A loss must return numbers that are computed from the outputs and the label.")
        if isinstance(output, _Reduced):
            self.notes.append(
                f"The {'mean' if output.kind == MEAN else 'sum'} over the pictures was taken off: each picture's own "
                "loss is captured, and training lowers their mean over the pictures that a step expects."
            )
        constants, nodes, _ = self._writer.parts(output.name)
        return LossGraph(label_kind, num_classes, constants, nodes)

    def _called(self, node: fx.Node, name: str, arguments: Mapping[str, Operand]) -> Operand:
        self._writer.source = source_of(node)
        try:
            if any(isinstance(one, _Reduced) for one in arguments.values()):
                return _combined(name, Call(self._writer, arguments, _ROWS))
            if name in LOSSES:
                return self._torch_loss(name, arguments)
            value = arguments.get("self")
            if name in _KINDS and isinstance(value, Ref) and value.batch is not None and not node.meta["val"].dim():
                return _Reduced(_by_picture(Call(self._writer, arguments, _ROWS), value, name), _KINDS[name])
        except Untranslatable as error:
            self._refuse(node, str(error))
        if name in _ADVICE:
            self._refuse(node, _ADVICE[name])
        return super()._called(node, name, arguments)

    def _torch_loss(self, name: str, arguments: Mapping[str, Operand]) -> Ref:
        call = Call(self._writer, arguments, None)
        found, kind = LOSSES[name](call), call.plain("reduction")
        if kind not in (MEAN, SUM):
            return found
        return _Reduced(_by_picture(call, found, "mean" if kind == MEAN else "sum"), kind)


def _by_picture(call: Call, value: Ref, operator: str) -> Ref:
    """Each picture's part of a sum or mean of all numbers."""
    others = [axis for axis in range(len(value.shape)) if axis != value.batch]
    if value.batch is None or value.shape[value.batch] != 1:
        raise Untranslatable("it adds up over something else than the pictures' axis. Keep one row for each picture")
    return call.add(operator, value, like=_ROWS, axes=others, keep=False) if others else value


def _combined(name: str, call: Call) -> _Reduced:
    """What is linear in sums or means over pictures, picture by picture.

    Raises:
        Untranslatable: It is not linear in them.
    """
    one, other = call.arguments["self"], call.arguments.get("other")
    if name in _KINDS or name in ("alias", "clone", "contiguous"):  # of a single number
        return one
    if name == "neg":
        return _Reduced(call.affine(one.rows, -1, 0), one.kind)
    if name in ("add", "sub") and isinstance(one, _Reduced) and isinstance(other, _Reduced):
        if one.kind == other.kind:
            factor = call.plain("alpha") * (1 if name == "add" else -1)
            scaled = other.rows if factor == 1 else call.affine(other.rows, factor, 0)
            return _Reduced(call.add("add", one.rows, scaled), one.kind)
        raise Untranslatable("it adds a sum over pictures to a mean over them. Use one of both")
    if name in ("mul", "div") and isinstance(one, _Reduced):
        if isinstance(other, int | float) and other:
            return _Reduced(call.affine(one.rows, other if name == "mul" else 1 / other, 0), one.kind)
        if name == "div" and isinstance(other, torch.SymInt) and one.kind == SUM and _is_batch_size(other):
            return _Reduced(one.rows, MEAN)
    raise Untranslatable(_APART)


def _is_batch_size(size: torch.SymInt) -> bool:
    return bool(size.node.expr.is_Symbol)
