"""Rules of operators with weights, of products, and of pooling: what the engine has per-picture gradients for."""

from __future__ import annotations

import math

from policies.graphs.attributes import EPS, Attribute, Flag, Number, Whole, pair
from policies.graphs.limits import MOST_AXES
from policies.graphs.operator import Attributes, Operator, leads_written_out, scores_of_keys
from policies.graphs.values import (
    Refusal,
    Value,
    broadcast,
    keep_apart,
    need_axes,
    need_floats,
    pictures_first,
    result,
    same_for_all,
    spelled,
)

_MOST_SIDE = 4096
_MOST_CHANNELS = 1 << 20
_FIRST = "the pictures lie on the first axis, one row each; weights are the same for all pictures"


def _conv2d(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    image, weight = _layer(inputs)
    pictures_first(image)
    need_axes(image, 4, 4)
    need_axes(weight, 4, 4)
    out, groups = weight.shape[0], attributes["groups"]
    if image.shape[1] != weight.shape[1] * groups or out % groups:
        raise Refusal(f"its weight {spelled(weight)} in {groups} groups does not fit a value {spelled(image)}")
    _check_per_channel(inputs[2:], (out,))
    sizes = [
        _windows(
            image.shape[2 + i], weight.shape[2 + i], *(attributes[n][i] for n in ("stride", "padding", "dilation"))
        )
        for i in range(2)
    ]
    return result(inputs, (1, out, *sizes), 0)


def _linear(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    value, weight = _layer(inputs)
    need_axes(weight, 2, 2)
    need_axes(value, 1)
    last = len(value.shape) - 1
    keep_apart(value, [last], "sums")
    if value.shape[last] != weight.shape[1]:
        raise Refusal(f"its weight {spelled(weight)} does not fit a value {spelled(value)}")
    _check_per_channel(inputs[2:], weight.shape[:1])
    return result(inputs, (*value.shape[:last], weight.shape[0]), value.batch)


def _group_norm(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    value = inputs[0]
    pictures_first(value)
    need_axes(value, 2)
    if len(inputs) == 2:
        raise Refusal("it takes a value alone, or a value with scale and shift")
    for weight in inputs[1:]:
        same_for_all(weight, "weight")
    if value.shape[1] % attributes["groups"]:
        raise Refusal(f"{attributes['groups']} groups do not divide the {value.shape[1]} channels of its value")
    if value.numbers == attributes["groups"]:
        raise Refusal("each of its groups has one number, which normalised is 0 in every picture. Leave the norm out")
    _check_per_channel(inputs[1:], value.shape[1:2])
    return result(inputs, value.shape, value.batch)


def _layer_norm(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    value, axes = inputs[0], attributes["axes"]
    if len(inputs) == 2:
        raise Refusal("it takes a value alone, or a value with scale and shift")
    if axes > len(value.shape):
        raise Refusal(f"its value {spelled(value)} has fewer than {axes} axes")
    first = len(value.shape) - axes
    keep_apart(value, range(first, len(value.shape)), "normalises")
    for weight in inputs[1:]:
        same_for_all(weight, "weight")
    _check_per_channel(inputs[1:], value.shape[first:])
    return result(inputs, value.shape, value.batch)


def _matmul(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    left, right = inputs
    need_axes(left, 2)
    need_axes(right, 2)
    keep_apart(left, [len(left.shape) - 1], "sums")
    keep_apart(right, [len(right.shape) - 2], "sums")
    if left.shape[-1] != right.shape[-2]:
        raise Refusal(f"it multiplies shapes that do not fit: {spelled(left)} and {spelled(right)}")
    rows, columns = left.batch == len(left.shape) - 2, right.batch == len(right.shape) - 1
    if (rows and right.batch is not None) or (columns and left.batch is not None):
        told = "it multiplies every picture of one value with every picture of the other. Bring the pictures of both"
        raise Refusal(f"{told} to the same leading axis")
    if (rows and right.trained) or (columns and left.trained):
        raise Refusal("it multiplies features of pictures with a parameter. Use a linear layer, whose rule knows that")
    lead, batch = _leading(inputs)
    shape = (*lead, left.shape[-2], right.shape[-1])
    return result(inputs, shape, len(lead) if rows else len(lead) + 1 if columns else batch)


def _attention(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    query, key, value = inputs[:3]
    for one in inputs:
        need_axes(one, 2)
        keep_apart(one, [len(one.shape) - 2, len(one.shape) - 1], "attends")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        told = f"its queries {spelled(query)}, keys {spelled(key)} and values {spelled(value)}"
        raise Refusal(f"{told} do not fit each other")
    if len(inputs) == 4:
        if attributes["causal"]:
            raise Refusal("it is causal and has a mask; it takes one of both")
        wanted = (query.shape[-2], key.shape[-2])
        if any(own not in (1, size) for own, size in zip(inputs[3].shape[-2:], wanted, strict=True)):
            raise Refusal(f"its mask {spelled(inputs[3])} does not fit {wanted[0]} queries and {wanted[1]} keys")
    lead, batch = _leading(inputs)
    return result(inputs, (*lead, query.shape[-2], value.shape[-1]), batch)


def _max_pool(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    return _pooled(inputs, attributes, attributes["dilation"])


def _average_pool(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    return _pooled(inputs, attributes, (1, 1))


def _pooled(inputs: tuple[Value, ...], attributes: Attributes, dilation: tuple[int, ...]) -> Value:
    value = _maps(inputs)
    kernel, stride, padding = (attributes[name] for name in ("kernel", "stride", "padding"))
    if any(pad > size // 2 for pad, size in zip(padding, kernel, strict=True)):
        raise Refusal("its padding is more than half of its kernel")
    sizes = [
        _windows(value.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil=attributes["ceil"])
        for i in range(2)
    ]
    return result(inputs, (*value.shape[:2], *sizes), value.batch)


def _to_size(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    value = _maps(inputs)
    return result(inputs, (*value.shape[:2], *attributes["size"]), value.batch)


def _maps(inputs: tuple[Value, ...]) -> Value:
    """A value of maps, (rows, channels, height, width), with the pictures on one of the first two axes."""
    need_floats(*inputs)
    need_axes(inputs[0], 4, 4)
    keep_apart(inputs[0], [2, 3], "pools")
    return inputs[0]


def _layer(inputs: tuple[Value, ...]) -> tuple[Value, Value]:
    """A layer's value and weight, after a look that its weights are the same for all pictures."""
    need_floats(*inputs)
    for weight in inputs[1:]:
        same_for_all(weight, "weight")
    if inputs[0].batch is None:
        raise Refusal("it is given no pictures, only parameters or constants. Give it what is computed from pictures")
    return inputs[0], inputs[1]


def _check_per_channel(weights: tuple[Value, ...], shape: tuple[int, ...]) -> None:
    for weight in weights:
        if weight.shape != shape:
            raise Refusal(f"it takes a scale, shift or bias of shape {shape}, and was given {spelled(weight)}")


def _leading(inputs: tuple[Value, ...]) -> tuple[tuple[int, ...], int | None]:
    """Shape and axis of the pictures of the axes before the last two."""
    own = [value.batch if value.batch is not None and value.batch < len(value.shape) - 2 else None for value in inputs]
    return broadcast([value.moved(value.shape[:-2], batch) for value, batch in zip(inputs, own, strict=True)])


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool = False) -> int:
    """How many windows of a kernel fit along an axis."""
    free = size + 2 * padding - dilation * (kernel - 1) - 1
    if free < 0:
        raise Refusal(f"its kernel of {kernel} is larger than the {size} pixels along an axis of its value")
    count = (-(-free // stride) if ceil else free // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + padding else count


def _weights(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    return made.numbers * math.prod(inputs[1].shape[1:])


def _products(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    return made.numbers * inputs[0].shape[-1]


def _attended(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    return made.numbers // made.shape[-1] * inputs[1].shape[-2] * (inputs[0].shape[-1] + made.shape[-1] + 1)


def _window_numbers(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    return made.numbers * math.prod(attributes["kernel"])


def _all_read(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    return 4 * (inputs[0].numbers + made.numbers)


_POOL: dict[str, Attribute] = {
    "kernel": pair(1, _MOST_SIDE),
    "stride": pair(1, _MOST_SIDE),
    "padding": pair(0, _MOST_SIDE),
    "ceil": Flag(),
}
_SIZE: dict[str, Attribute] = {"size": pair(1, _MOST_SIDE)}
_PLACES = "the pictures lie on one of the first two axes; the last two are places in a picture"
_LEAD = "the pictures lie on the same leading axis of all inputs, never on an axis that is summed over"

LAYER_RULES: dict[str, Operator] = {
    "conv2d": Operator(
        "a convolution of a value with a weight, and a bias where there is one",
        _FIRST,
        _conv2d,
        (2, 3),
        {
            "stride": pair(1, 64),
            "padding": pair(0, 256),
            "dilation": pair(1, 64),
            "groups": Whole(1, _MOST_CHANNELS),
        },
        _weights,
        (1, 2),
    ),
    "linear": Operator(
        "a weight times the last axis of a value, and a bias where there is one",
        "any axis but the last; weights are the same for all pictures",
        _linear,
        (2, 3),
        {},
        _weights,
        (1, 2),
    ),
    "group_norm": Operator(
        "each picture's groups of channels normalised, then scale and shift where there are any",
        _FIRST,
        _group_norm,
        (1, 3),
        {"groups": Whole(1, _MOST_CHANNELS), "eps": EPS},
        shared=(1, 2),
    ),
    "layer_norm": Operator(
        "the last axes normalised, then scale and shift where there are any",
        "none of the last axes that are normalised; weights are the same for all pictures",
        _layer_norm,
        (1, 3),
        {"axes": Whole(1, MOST_AXES), "eps": EPS},
        shared=(1, 2),
    ),
    "matmul": Operator("a product of matrices", _LEAD, _matmul, (2, 2), {}, _products, between=leads_written_out),
    "attention": Operator(
        "softmax(scale q k) v, with a mask added where there is one",
        _LEAD,
        _attention,
        (3, 4),
        {"scale": Number(1e-6, 1e6), "causal": Flag()},
        _attended,
        between=scores_of_keys,
    ),
    "max_pool2d": Operator(
        "the largest number of each window",
        _PLACES,
        _max_pool,
        attributes={**_POOL, "dilation": pair(1, 64)},
        multiplications=_window_numbers,
    ),
    "average_pool2d": Operator(
        "the mean of each window",
        _PLACES,
        _average_pool,
        attributes={**_POOL, "count_padding": Flag()},
        multiplications=_window_numbers,
    ),
    "adaptive_average_pool2d": Operator(
        "means of as many windows as asked for", _PLACES, _to_size, attributes=_SIZE, multiplications=_all_read
    ),
    "resize_nearest": Operator(
        "maps in another size, by the nearest number", _PLACES, _to_size, attributes=_SIZE, multiplications=_all_read
    ),
    "resize_bilinear": Operator(
        "maps in another size, by linear interpolation",
        _PLACES,
        _to_size,
        attributes={**_SIZE, "align_corners": Flag()},
        multiplications=_all_read,
    ),
}
