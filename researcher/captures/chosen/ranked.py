"""Places of numbers in their order, and picks by them: ranks are counted comparisons, a pick is a choice and a sum.

A whole number that is made of pictures is a float of that value here, without a gradient. So nothing is picked by
address: each number is compared with the place that is asked for, and a gradient goes to what was chosen alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from researcher.captures.composed.compared import compared
from researcher.captures.translated import Call, Later, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref, spelled

MOST_RANKED = 1024
_APART = "it orders the numbers of different pictures. Name an axis of a picture, as dim=1"
FAR = torch.tensor(1e9)  # behind all places


def shaped(call: Call, value: Ref, shape: Sequence[int], batch: int | None) -> Ref:
    """The same numbers in another shape."""
    wanted: Like = list(shape), batch
    return value if shape_of(value) == wanted else call.add("reshape", value, like=wanted, shape=spelled(*wanted))


def along(call: Call, value: Ref) -> Ref:
    """A new last axis of length 1."""
    return shaped(call, value, [*value.shape, 1], value.batch)


def turned(call: Call, value: Ref, axis: int) -> Ref:
    """An axis moved behind the last, with length 1 in its place."""
    shape, axes = list(value.shape), [one for one in range(len(value.shape)) if one != axis]
    moved = value
    if axis != len(shape) - 1:
        like = [*(shape[one] for one in axes), shape[axis]], None if value.batch is None else axes.index(value.batch)
        moved = call.add("permute", value, like=like, axes=[*axes, axis])
    wide = [1 if number == axis else size for number, size in enumerate(shape)]
    return shaped(call, moved, [*wide, shape[axis]], value.batch)


def numbered(axis: int, size: int, axes: int) -> torch.Tensor:
    """0, 1, 2, ... along one of several axes, float32, of shape (1, ..., size, ..., 1)."""
    return torch.arange(size, dtype=torch.float32).view([size if number == axis else 1 for number in range(axes)])


def _own_axis(call: Call, value: Ref) -> int:
    if call.arguments.get("dim") is None or call.axis(call.plain("dim"), value) == value.batch:
        raise Untranslatable(_APART)
    return call.axis(call.plain("dim"), value)


def _wide(value: Ref, size: int) -> Like:
    return [*value.shape, size], value.batch


def ranks(call: Call, value: Ref, axis: int, *, falling: bool) -> Ref:
    """How many numbers along an axis stand before each; of equal ones the first stands first."""
    size, axes = value.shape[axis], len(value.shape) + 1
    if size > MOST_RANKED:
        raise Untranslatable(
            f"it orders {size:,} numbers, each beside every other; up to {MOST_RANKED:,} have room. Pool before, or "
            "order parts of them"
        )
    own, others = along(call, value), turned(call, value, axis)
    either = (others, own) if falling else (own, others)
    above, as_high = (compared(call, *either, operator, _wide(value, size)) for operator in ("greater", "at_least"))
    before = numbered(axes - 1, size, axes) < numbered(axis, size, axes)
    stand = call.add("where", before, as_high, above, like=_wide(value, size))
    return call.add("sum", stand, like=shape_of(value), axes=[axes - 1], keep=False)


def _of_rank(call: Call, value: Ref, axis: int, rank: Ref, wanted: torch.Tensor) -> tuple[Ref, Later]:
    """The numbers of some ranks along an axis, and, where that is asked for, their places."""
    count, last = len(wanted), len(value.shape)
    chosen = compared(call, along(call, rank), wanted, "equal", _wide(value, count))

    def summed(numbers: Operand, operator: str) -> Ref:
        each = [chosen, numbers, torch.zeros(())] if operator == "choose" else [chosen, numbers]
        picked = call.add(operator, *each, like=_wide(value, count))
        shape = [*value.shape[:axis], *value.shape[axis + 1 :], count]
        batch = value.batch if value.batch is None or value.batch < axis else value.batch - 1
        found = call.add("sum", picked, like=(shape, batch), axes=[axis], keep=False)
        axes = [*range(axis), last - 1, *range(axis, last - 1)]
        like = [shape[one] for one in axes], value.batch
        return found if axes == sorted(axes) else call.add("permute", found, like=like, axes=axes)

    def places() -> Ref:
        found = summed(numbered(axis, value.shape[axis], last + 1), "multiply")
        found.distinct = axis
        return found

    return summed(along(call, value), "choose"), Later(places)


def _sorted(call: Call) -> list[Operand]:
    value = call.value("self")
    axis = _own_axis(call, value)
    rank = ranks(call, value, axis, falling=bool(call.plain("descending")))
    return list(_of_rank(call, value, axis, rank, numbered(0, value.shape[axis], 1)))


def _sorted_places(call: Call) -> Ref:
    return _sorted(call)[1].made()


def _top(call: Call) -> list[Operand]:
    value, count = call.value("self"), call.plain("k")
    axis = _own_axis(call, value)
    rank = ranks(call, value, axis, falling=bool(call.plain("largest")))
    return list(_of_rank(call, value, axis, rank, numbered(0, count, 1)))


def _one_rank(call: Call, number: int, like: Like) -> list[Operand]:
    value = call.value("self")
    axis = _own_axis(call, value)
    number = (value.shape[axis] - 1) // 2 if number < 0 else number
    rank = ranks(call, value, axis, falling=False)
    found, places = _of_rank(call, value, axis, rank, torch.tensor([float(number)]))
    return [shaped(call, found, *like), Later(lambda: _placed(call, places.made(), like, axis))]


def _placed(call: Call, value: Ref, like: Like, axis: int) -> Ref:
    found = shaped(call, value, *like)
    found.distinct = axis if len(like[0]) == len(value.shape) else None
    return found


def _of_order(call: Call) -> list[Operand]:
    return _one_rank(call, call.plain("k") - 1, call.parts[0])


def _middle(call: Call) -> list[Operand]:
    return _one_rank(call, -1, call.parts[0])


def _middle_of_all(call: Call) -> Operand:
    return _middle(call) if "dim" in call.arguments else _own_axis(call, call.value("self"))


def _shares(call: Call) -> Ref:
    """For one share its number; for several theirs, along a new first axis."""
    share = call.arguments["q"]
    if not isinstance(share, torch.Tensor) or share.dim() == 0:
        return _share(call, float(share) if isinstance(share, torch.Tensor) else call.plain("q"), call.like)
    shape, batch = call.like
    one: Like = shape[1:], None if batch is None else batch - 1
    each = [shaped(call, _share(call, part, one), [1, *one[0]], batch) for part in share.tolist()]
    return call.add("concatenate", *each, axis=0) if len(each) > 1 else each[0]


def _share(call: Call, share: float, like: Like) -> Ref:
    """A number with a share of the others below it; between two, in proportion, as torch has it by default."""
    value = call.value("self")
    axis = _own_axis(call, value)
    place = share * (value.shape[axis] - 1)
    low = min(int(place), value.shape[axis] - 1)
    part, kind = place - low, call.plain("interpolation")
    if kind != "linear":
        low, part = low + int(kind == "higher" and part > 0), 0.5 * (part > 0) if kind == "midpoint" else 0.0
    if kind not in ("linear", "lower", "higher", "midpoint"):
        raise Untranslatable("it takes the nearest of two numbers. Use interpolation='linear'")
    rank = ranks(call, value, axis, falling=False)
    found = shaped(call, _of_rank(call, value, axis, rank, torch.tensor([float(low)]))[0], *like)
    if not part:
        return found
    above = shaped(call, _of_rank(call, value, axis, rank, torch.tensor([low + 1.0]))[0], *like)
    both = call.affine(found, 1 - part, 0, like=like), call.affine(above, part, 0, like=like)
    return call.add("add", *both, like=like)


def place_of_the_first(call: Call, value: Ref, axis: int, operator: str, like: Like) -> Ref:
    """Where along an axis the largest or the smallest number is, the first of equal ones."""
    kept: Like = [1 if number == axis else size for number, size in enumerate(value.shape)], value.batch
    bound = call.add(operator, value, like=kept, axes=[axis], keep=True)
    at = compared(call, value, bound, "equal", shape_of(value))
    numbers = numbered(axis, value.shape[axis], len(value.shape))
    places = call.add("choose", at, numbers, FAR, like=shape_of(value))
    found = call.add("smallest", places, like=like, axes=[axis], keep=len(like[0]) == len(value.shape))
    found.distinct = axis if len(like[0]) == len(value.shape) else None
    return found


def _place(operator: str) -> Translate:
    def translate(call: Call) -> Ref:
        value = call.value("self")
        return place_of_the_first(call, value, _own_axis(call, value), operator, call.like)

    return translate


def _with_place(operator: str, both: str) -> Translate:
    """The largest number and where it is; or the greater of two values."""

    def translate(call: Call) -> Operand:
        value = call.value("self")
        if "other" in call.arguments:
            return call.add(both, call.floats("self"), call.floats("other"))
        if "dim" not in call.arguments:
            return call.add(operator, value, axes=call.axes(None, value), keep=False)
        axis, keep, like = call.axis(call.plain("dim"), value), bool(call.plain("keepdim")), call.parts[0]
        found = call.add(operator, value, like=like, axes=[axis], keep=keep)
        return [found, Later(lambda: place_of_the_first(call, value, axis, operator, like))]

    return translate


RANKED: dict[str, Translate] = {
    "argmax": _place("largest"),
    "argmin": _place("smallest"),
    "argsort": _sorted_places,
    "kthvalue": _of_order,
    "max": _with_place("largest", "maximum"),
    "median": _middle_of_all,
    "min": _with_place("smallest", "minimum"),
    "quantile": _shares,
    "sort": _sorted,
    "topk": _top,
}
"""Translations by the names of torch's operators."""
