"""Rules of operators that move numbers and compute none: where the pictures lie afterwards, or why they would mix."""

from __future__ import annotations

import math

from policies.graphs.attributes import AXES, AXIS, Number, Shape, Whole, Wholes
from policies.graphs.limits import MOST_AXES, MOST_OF_AN_AXIS
from policies.graphs.operator import Attributes, Operator
from policies.graphs.values import Refusal, Value, keep_apart, need_axes, need_floats, result, spelled, spelled_shape

_MOST_PADDING = 4096
_OTHERS = "none of the axes is that of the pictures"
_ANY = Wholes(0, MOST_OF_AN_AXIS, 1, MOST_AXES)


def _reshape(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    """Pictures stay apart where as many numbers lie before and behind their axis as before.

    Numbers keep their order. With P rows before the axis of B pictures and M numbers of a picture in each, number
    i belongs to picture (i // M) % B; so it does afterwards exactly where P and M are the same.
    """
    (value,) = inputs
    need_floats(value)
    shape, batch = attributes["shape"]
    if (batch is None) != (value.batch is None):
        raise Refusal(
            f"it brings shape {spelled(value)} to {spelled_shape(shape, batch)}; the axis of the pictures may neither "
            "vanish nor be made. Keep the pictures an axis of their own"
        )
    if math.prod(shape) != value.numbers:
        raise Refusal(
            f"it brings shape {spelled(value)} to {spelled_shape(shape, batch)}, of another number of numbers"
        )
    if batch is not None and math.prod(shape[:batch]) != math.prod(value.shape[: value.batch]):
        raise Refusal(
            f"it brings shape {spelled(value)} to {spelled_shape(shape, batch)}, which merges pictures with the axes "
            "before them. Permute the pictures to the first axis before"
        )
    return result(inputs, shape, batch)


def _permute(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    (value,) = inputs
    need_floats(value)
    axes = attributes["axes"]
    if sorted(axes) != list(range(len(value.shape))):
        raise Refusal(f"its axes {list(axes)} are not those of its value {spelled(value)}, each once")
    return result(
        inputs, [value.shape[axis] for axis in axes], None if value.batch is None else axes.index(value.batch)
    )


def _expand(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    (value,) = inputs
    need_floats(value)
    shape, batch = attributes["shape"]
    added = len(shape) - len(value.shape)
    if added < 0:
        raise Refusal(f"it brings shape {spelled(value)} to fewer axes, {spelled_shape(shape, batch)}")
    if value.batch is not None and batch != value.batch + added:
        raise Refusal(
            f"it brings shape {spelled(value)} to {spelled_shape(shape, batch)}; the axis of the pictures stays "
            "the one that it is"
        )
    for axis, size in enumerate(value.shape):
        wanted = shape[axis + added]
        for_all = axis + added == batch and value.batch is None
        kept = size == wanted and not for_all
        if not kept and (size != 1 or axis == value.batch):
            raise Refusal(f"it cannot bring shape {spelled(value)} to {spelled_shape(shape, batch)}; only 1 expands")
    return result(inputs, shape, batch)


def _concatenate(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    axis = attributes["axis"]
    first = inputs[0]
    for value in inputs:
        keep_apart(value, [axis], "concatenates")
        need_axes(value, len(first.shape), len(first.shape))
        if value.batch != first.batch:
            raise Refusal(
                "it joins " + " and ".join(spelled(v) for v in inputs) + ", whose pictures are not on the same axis. "
                "Expand what is the same for all pictures over them first"
            )
        if any(a != b for i, (a, b) in enumerate(zip(value.shape, first.shape, strict=True)) if i != axis):
            raise Refusal(f"it joins shapes that do not fit: {spelled(first)} and {spelled(value)}")
    shape = list(first.shape)
    shape[axis] = sum(value.shape[axis] for value in inputs)
    return result(inputs, shape, first.batch)


def _slice(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    (value,) = inputs
    need_floats(value)
    axis, start, stop, step = (attributes[name] for name in ("axis", "start", "stop", "step"))
    keep_apart(value, [axis], "takes a part")
    if not start < stop <= value.shape[axis]:
        raise Refusal(f"it takes {start} to {stop} of the {value.shape[axis]} numbers along axis {axis}")
    shape = list(value.shape)
    shape[axis] = -(-(stop - start) // step)
    return result(inputs, shape, value.batch)


def _pad(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    (value,) = inputs
    need_floats(value)
    before, after = attributes["before"], attributes["after"]
    if len(before) != len(value.shape) or len(after) != len(value.shape):
        raise Refusal(f"its padding must name each of the {len(value.shape)} axes of its value")
    padded = [axis for axis, sides in enumerate(zip(before, after, strict=True)) if any(sides)]
    keep_apart(value, padded, "pads")
    return result(inputs, [sum(sizes) for sizes in zip(value.shape, before, after, strict=True)], value.batch)


def _roll(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    (value,) = inputs
    need_floats(value)
    if len(attributes["shifts"]) != len(attributes["axes"]):
        raise Refusal("it takes as many shifts as axes")
    keep_apart(value, attributes["axes"], "rolls")
    return result(inputs, value.shape, value.batch)


def _flip(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    keep_apart(inputs[0], attributes["axes"], "flips")
    return result(inputs, inputs[0].shape, inputs[0].batch)


def _take(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    value, index = inputs
    need_floats(value)
    axis = attributes["axis"]
    if index.kind != "int64" or index.ends is None:
        raise Refusal("its index must be a constant of whole numbers, so that it cannot depend on a picture")
    keep_apart(value, [axis], "picks by index")
    if index.ends[0] < 0 or index.ends[1] >= value.shape[axis]:
        raise Refusal(
            f"its index reaches from {index.ends[0]} to {index.ends[1]}, of {value.shape[axis]} along the axis"
        )
    batch = value.batch
    if batch is not None and batch > axis:
        batch += len(index.shape) - 1
    return result(inputs, (*value.shape[:axis], *index.shape, *value.shape[axis + 1 :]), batch)


def _pixel_shuffle(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    value, factor = _of_places(inputs), attributes["factor"]
    channels, height, width = value.shape[-3:]
    if channels % factor**2:
        raise Refusal(f"its {channels} channels are no multiple of {factor**2}")
    return result(inputs, (*value.shape[:-3], channels // factor**2, height * factor, width * factor), value.batch)


def _pixel_unshuffle(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    value, factor = _of_places(inputs), attributes["factor"]
    channels, height, width = value.shape[-3:]
    if height % factor or width % factor:
        raise Refusal(f"its maps of {height} by {width} are no multiple of {factor}")
    return result(inputs, (*value.shape[:-3], channels * factor**2, height // factor, width // factor), value.batch)


def _of_places(inputs: tuple[Value, ...]) -> Value:
    need_floats(*inputs)
    need_axes(inputs[0], 3)
    last = len(inputs[0].shape)
    keep_apart(inputs[0], [last - 3, last - 2, last - 1], "moves numbers")
    return inputs[0]


_FACTOR = {"factor": Whole(1, 64)}

MOVE_RULES: dict[str, Operator] = {
    "reshape": Operator(
        "the same numbers in another shape",
        "as many numbers lie before and behind the pictures' axis afterwards as before",
        _reshape,
        attributes={"shape": Shape()},
    ),
    "permute": Operator("axes in another order", "any axis; it is followed", _permute, attributes={"axes": AXES}),
    "expand": Operator(
        "numbers repeated along axes of length 1",
        "stays the axis it is, or is made of an axis of length 1",
        _expand,
        attributes={"shape": Shape()},
    ),
    "concatenate": Operator(
        "values joined along an axis", "the same axis of all, and another one", _concatenate, (1, 256), {"axis": AXIS}
    ),
    "slice": Operator(
        "every step-th number from start to before stop along an axis",
        _OTHERS,
        _slice,
        attributes={
            "axis": AXIS,
            "start": Whole(0, MOST_OF_AN_AXIS),
            "stop": Whole(1, MOST_OF_AN_AXIS),
            "step": Whole(1, MOST_OF_AN_AXIS),
        },
    ),
    "pad": Operator(
        "a number put before and after each axis",
        "gets no padding",
        _pad,
        attributes={
            "before": Wholes(0, _MOST_PADDING, 1, MOST_AXES),
            "after": Wholes(0, _MOST_PADDING, 1, MOST_AXES),
            "number": Number(),
        },
    ),
    "roll": Operator("numbers moved round along axes", _OTHERS, _roll, attributes={"axes": AXES, "shifts": _ANY}),
    "flip": Operator("axes turned round", _OTHERS, _flip, attributes={"axes": AXES}),
    "take": Operator("rows of an axis by a constant index", _OTHERS, _take, (2, 2), {"axis": AXIS}),
    "pixel_shuffle": Operator(
        "channels made places", "an axis before the last three", _pixel_shuffle, attributes=_FACTOR
    ),
    "pixel_unshuffle": Operator(
        "places made channels", "an axis before the last three", _pixel_unshuffle, attributes=_FACTOR
    ),
}
