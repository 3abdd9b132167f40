"""Translations of layers, products and pooling."""

from __future__ import annotations

import math

import torch

from researcher.captures.translated import Call, Like, Translate, Untranslatable, pair, shape_of
from researcher.captures.writer import Operand, Ref

_MASKED = -1e4


def _conv2d(call: Call) -> Ref:
    value, weight = call.value("input"), call.value("weight")
    stride, dilation, padding = pair(call.plain("stride")), pair(call.plain("dilation")), call.plain("padding")
    if isinstance(padding, str):
        value, padding = _padded(call, value, weight, dilation, padding)
    inputs = [value, weight] if call.arguments["bias"] is None else [value, weight, call.value("bias")]
    return call.add(
        "conv2d", *inputs, stride=stride, padding=pair(padding), dilation=dilation, groups=call.plain("groups")
    )


def _padded(call: Call, value: Ref, weight: Ref, dilation: list[int], padding: str) -> tuple[Ref, list[int]]:
    """A padding of a word: as numbers, an uneven one as a node of its own."""
    if padding == "valid":
        return value, [0, 0]
    missing = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
    if all(total % 2 == 0 for total in missing):
        return value, [total // 2 for total in missing]
    before, after = [0, 0, *(m // 2 for m in missing)], [0, 0, *(m - m // 2 for m in missing)]
    shape = [sum(sizes) for sizes in zip(value.shape, before, after, strict=True)]
    return call.add("pad", value, like=(shape, value.batch), before=before, after=after, number=0.0), [0, 0]


def _linear(call: Call) -> Ref:
    inputs = [call.value("input"), call.value("weight")]
    return call.add("linear", *inputs, *([] if call.arguments["bias"] is None else [call.value("bias")]))


def _scaled(call: Call, shape: list[int]) -> list[Operand]:
    """Scale and shift of a norm: both or none."""
    weight, bias = call.arguments["weight"], call.arguments["bias"]
    if weight is None and bias is None:
        return []
    return [torch.ones(shape) if weight is None else weight, torch.zeros(shape) if bias is None else bias]


def _layer_norm(call: Call) -> Ref:
    value, shape = call.value("input"), list(call.plain("normalized_shape"))
    return call.add("layer_norm", value, *_scaled(call, shape), axes=len(shape), eps=float(call.plain("eps")))


def _group_norm(call: Call) -> Ref:
    value = call.value("input")
    inputs = _scaled(call, [value.shape[1]])
    return call.add("group_norm", value, *inputs, groups=call.plain("num_groups"), eps=float(call.plain("eps")))


def _batch_norm(call: Call) -> Ref:
    """Of a weight: the standardisation of weights is written so."""
    value = call.value("input")
    if value.batch is not None:
        raise Untranslatable("it mixes the pictures of a batch. Use GroupNorm")
    if call.arguments["running_mean"] is not None or not call.plain("training"):
        raise Untranslatable("it keeps statistics between steps. Use it without")
    axes = [axis for axis in range(len(value.shape)) if axis != 1]
    found = call.add("standardise", value, axes=axes, eps=float(call.plain("eps")))
    for name, operator in (("weight", "multiply"), ("bias", "add")):
        if call.arguments[name] is not None:
            found = call.add(operator, found, _along_channels(call, call.value(name), len(value.shape)))
    return found


def _along_channels(call: Call, value: Ref, axes: int) -> Ref:
    shape = [value.shape[0] if axis == 1 else 1 for axis in range(axes)]
    return call.add("reshape", value, like=(shape, None), shape=shape)


def _matmul(call: Call) -> Ref:
    left, right = call.value("self"), call.value("other" if "other" in call.arguments else "mat2")
    if right.batch is None and len(right.shape) == 2 and len(left.shape) >= 2:
        turned = call.add("permute", right, like=([right.shape[1], right.shape[0]], None), axes=[1, 0])
        return call.add("linear", left, turned)
    if len(left.shape) < 2 or len(right.shape) < 2:
        raise Untranslatable("it multiplies vectors. Use matrices")
    return call.add("matmul", left, right)


def _attention(call: Call) -> Ref:
    query, key, value = (call.value(name) for name in ("query", "key", "value"))
    if call.arguments.get("enable_gqa"):
        raise Untranslatable("groups of queries share keys. Give each head its own")
    if call.plain("dropout_p"):
        raise Untranslatable("its dropout is on. Set dropout to 0")
    scale, mask = call.plain("scale"), call.arguments["attn_mask"]
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, _MASKED)
    return call.add(
        "attention",
        query,
        key,
        value,
        *([] if mask is None else [mask]),
        scale=1 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        causal=bool(call.plain("is_causal")),
    )


def _max_pool(call: Call) -> Ref:
    kernel = pair(call.plain("kernel_size"))
    return call.add(
        "max_pool2d",
        call.value("self"),
        kernel=kernel,
        stride=pair(call.plain("stride") or kernel),
        padding=pair(call.plain("padding")),
        dilation=pair(call.plain("dilation")),
        ceil=bool(call.plain("ceil_mode")),
    )


def _average_pool(call: Call) -> Ref:
    kernel = pair(call.plain("kernel_size"))
    if call.plain("divisor_override"):
        raise Untranslatable("it divides by a number of its own. Leave divisor_override out")
    return call.add(
        "average_pool2d",
        call.value("self"),
        kernel=kernel,
        stride=pair(call.plain("stride") or kernel),
        padding=pair(call.plain("padding")),
        ceil=bool(call.plain("ceil_mode")),
        count_padding=bool(call.plain("count_include_pad")),
    )


def _to_size(operator: str) -> Translate:
    def translate(call: Call) -> Ref:
        settings: Operand = {}
        if operator == "resize_bilinear":
            settings["align_corners"] = bool(call.plain("align_corners"))
        value = call.value("input" if "input" in call.arguments else "self")
        return call.add(operator, value, size=call.like[0][-2:], **settings)

    return translate


def _einsum(call: Call) -> Ref:
    """A product of two values over one letter, as a product of matrices.

    Of values that are the same for all pictures, as tables of positions, several letters may be rows or columns.
    """
    equation, operands = call.plain("equation").replace(" ", ""), call.arguments["tensors"]
    if len(operands) != 2 or "->" not in equation or "." in equation:
        raise Untranslatable("only products of two values over one letter have a rule. Use matmul")
    (left, right), out = equation.split("->")[0].split(","), equation.split("->")[1]
    summed = [letter for letter in left if letter in right and letter not in out]
    both = [letter for letter in left if letter in right and letter in out]
    rows, columns = ([k for k in own if k not in other] for own, other in ((left, right), (right, left)))
    once = len({*left}) == len(left) and len({*right}) == len(right)
    first, second = (call.writer.read(one) for one in operands)
    alike = first.batch is None and second.batch is None
    single = [len(rows), len(columns)] == [1, 1] or (alike and bool(rows) and bool(columns))
    if len(summed) != 1 or not single or not once or {*rows, *columns, *both} != {*out}:
        raise Untranslatable("only products of two values over one letter have a rule. Use matmul")
    one = _ordered(call, first, left, [*both, *rows, *summed])
    other = _ordered(call, second, right, [*both, *summed, *columns])
    letters = [*both, *rows, *columns]
    sizes = {**dict(zip(right, second.shape, strict=True)), **dict(zip(left, first.shape, strict=True))}
    tagged = left[first.batch] if first.batch is not None else right[second.batch] if second.batch is not None else ""
    like: Like = [sizes[k] for k in letters], letters.index(tagged) if tagged in letters else None
    if alike:
        one, other = (
            _merged(call, value, [sizes[k] for k in both], [math.prod(sizes[k] for k in part) for part in parts])
            for value, parts in ((one, (rows, summed)), (other, (summed, columns)))
        )
        product = call.add("matmul", one, other, like=([*one.shape[:-1], other.shape[-1]], None))
        return _ordered(call, _merged(call, product, [], like[0]), "".join(letters), list(out))
    return _ordered(call, call.add("matmul", one, other, like=like), "".join(letters), list(out))


def _merged(call: Call, value: Ref, lead: list[int], last: list[int]) -> Ref:
    """A value that is the same for all pictures, in another shape."""
    shape = [*lead, *last]
    return value if list(value.shape) == shape else call.add("reshape", value, like=(shape, None), shape=shape)


def _ordered(call: Call, value: Ref, letters: str, wanted: list[str]) -> Ref:
    axes = [letters.index(letter) for letter in wanted]
    if axes == list(range(len(axes))):
        return value
    shape, batch = shape_of(value)
    like = [shape[axis] for axis in axes], None if batch is None else axes.index(batch)
    return call.add("permute", value, like=like, axes=axes)


LAYERS: dict[str, Translate] = {
    "_upsample_nearest2d": _to_size("resize_nearest"),
    "adaptive_avg_pool2d": _to_size("adaptive_average_pool2d"),
    "avg_pool2d": _average_pool,
    "batch_norm": _batch_norm,
    "bmm": _matmul,
    "conv2d": _conv2d,
    "einsum": _einsum,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool2d": _max_pool,
    "scaled_dot_product_attention": _attention,
    "upsample_bilinear2d": _to_size("resize_bilinear"),
    "upsample_nearest2d": _to_size("resize_nearest"),
}
"""Translations by the names of torch's operators."""
