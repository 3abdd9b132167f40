"""Translations of layers, products and pooling."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from researcher.captures.translated import (
    WHERE_THE_LARGEST_IS,
    Call,
    Like,
    Translate,
    Untold,
    Untranslatable,
    pair,
    shape_of,
)
from researcher.captures.writer import Operand, Ref, spelled

_MASKED = -1e4
UNEVEN = "its factor makes no whole number of pixels, and so shifts them. Give it a size instead"


def _conv2d(call: Call) -> Ref:
    value, weight = call.value("input"), call.value("weight")
    stride, dilation, padding = pair(call.plain("stride")), pair(call.plain("dilation")), call.plain("padding")
    if isinstance(padding, str):
        value, padding = padded(call, value, weight, dilation, padding)
    given = call.arguments["input"]
    if isinstance(given, torch.Tensor) and value.name.startswith("constant:") and call.plain("groups") == 1:
        return _convolved_constant(call, given, weight, (tuple(dilation), tuple(pair(padding)), tuple(stride)))
    inputs = [value, weight] if call.arguments["bias"] is None else [value, weight, call.value("bias")]
    return call.add(
        "conv2d", *inputs, stride=stride, padding=pair(padding), dilation=dilation, groups=call.plain("groups")
    )


def _convolved_constant(call: Call, given: torch.Tensor, weight: Ref, form: tuple[tuple[int, ...], ...]) -> Ref:
    """A convolution of what no picture is in, as a code of positions: of its windows, a product of matrices."""
    dilation, padding, stride = form
    windows = functional.unfold(given.to(torch.float32), weight.shape[2:], dilation, padding, stride)
    shape = [weight.shape[0], windows.shape[1]]
    rows = call.add("reshape", weight, like=(shape, None), shape=shape)
    like: Like = ([windows.shape[0], weight.shape[0], windows.shape[2]], None)
    found = call.add("matmul", rows, windows, like=like)
    if call.arguments["bias"] is not None:
        shift = [weight.shape[0], 1]
        bias = call.add("reshape", call.value("bias"), like=(shift, None), shape=shift)
        found = call.add("add", found, bias, like=like)
    return call.add("reshape", found, shape=spelled(*call.like))


def padded(call: Call, value: Ref, weight: Ref, dilation: list[int], padding: str) -> tuple[Ref, list[int]]:
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
    if inputs[0].batch is None:
        return _of_constants(call, *inputs)
    return call.add("linear", *inputs, *([] if call.arguments["bias"] is None else [call.value("bias")]))


def _of_constants(call: Call, value: Ref, weight: Ref) -> Ref:
    """A linear layer of what no picture is in, as a table of positions: a product of matrices, computed once."""
    turned = call.add("permute", weight, like=([weight.shape[1], weight.shape[0]], None), axes=[1, 0])
    one_row = [1, *value.shape] if len(value.shape) == 1 else list(value.shape)
    rows = value if list(value.shape) == one_row else call.add("reshape", value, like=(one_row, None), shape=one_row)
    found = call.add("matmul", rows, turned, like=([*one_row[:-1], weight.shape[0]], None))
    if call.arguments["bias"] is not None:
        found = call.add("add", found, call.value("bias"), like=shape_of(found))
    return found if shape_of(found) == call.like else call.add("reshape", found, shape=spelled(*call.like))


def scaled(call: Call, shape: list[int]) -> list[Operand]:
    """Scale and shift of a norm: both or none."""
    weight, bias = call.arguments["weight"], call.arguments["bias"]
    if weight is None and bias is None:
        return []
    return [torch.ones(shape) if weight is None else weight, torch.zeros(shape) if bias is None else bias]


def _layer_norm(call: Call) -> Ref:
    value, shape = call.value("input"), list(call.plain("normalized_shape"))
    return call.add("layer_norm", value, *scaled(call, shape), axes=len(shape), eps=float(call.plain("eps")))


def _group_norm(call: Call) -> Ref:
    value = call.value("input")
    inputs = scaled(call, [value.shape[1]])
    return call.add("group_norm", value, *inputs, groups=call.plain("num_groups"), eps=float(call.plain("eps")))


def _batch_norm(call: Call) -> Ref:
    """With fixed statistics, as a frozen network's; or of a weight: the standardisation of weights is written so."""
    value, mean, variance = call.value("input"), call.arguments["running_mean"], call.arguments["running_var"]
    if not call.plain("training") and isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor):
        return _by_fixed_statistics(call, value)
    if value.batch is not None:
        raise Untranslatable("it mixes the pictures of a batch. Use GroupNorm")
    elif mean is not None or not call.plain("training"):
        raise Untranslatable("it keeps statistics between steps. Use it without")
    else:
        axes = [axis for axis in range(len(value.shape)) if axis != 1]
        found = call.add("standardise", value, axes=axes, eps=float(call.plain("eps")))
    return _times_and_plus(call, found, call.arguments["weight"], call.arguments["bias"])


def _by_fixed_statistics(call: Call, value: Ref) -> Ref:
    mean, variance = call.arguments["running_mean"], call.arguments["running_var"]
    if not isinstance(mean, torch.Tensor) or not isinstance(variance, torch.Tensor):
        raise Untranslatable("its running statistics are computed in the network. Keep them fixed numbers")
    scale = torch.rsqrt(variance.double() + call.plain("eps"))
    found = _times_and_plus(call, value, scale.float(), (-mean.double() * scale).float())
    return _times_and_plus(call, found, call.arguments["weight"], call.arguments["bias"])


def _times_and_plus(call: Call, value: Ref, scale: Operand, shift: Operand) -> Ref:
    """Of each channel; None where there is none."""
    for operand, operator in ((scale, "multiply"), (shift, "add")):
        if operand is not None:
            value = call.add(operator, value, _along_channels(call, operand, len(value.shape)), like=shape_of(value))
    return value


def _instance_norm(call: Call) -> Ref:
    """Each channel of each picture is a group of its own."""
    value = call.value("input")
    if not call.plain("use_input_stats"):
        return _by_fixed_statistics(call, value)
    if call.arguments["running_mean"] is not None:
        raise Untranslatable("it keeps statistics between steps. Use it with track_running_stats=False")
    inputs = scaled(call, [value.shape[1]])
    return call.add("group_norm", value, *inputs, groups=value.shape[1], eps=float(call.plain("eps")))


def _along_channels(call: Call, value: Operand, axes: int) -> Operand:
    shape = [value.shape[0] if axis == 1 else 1 for axis in range(axes)]
    if isinstance(value, torch.Tensor):
        return value.reshape(shape)
    return call.add("reshape", value, like=(shape, None), shape=shape)


def _attention(call: Call) -> Ref:
    query, key, value = (call.value(name) for name in ("query", "key", "value"))
    if call.arguments.get("enable_gqa"):
        raise Untranslatable("groups of queries share keys. Give each head its own")
    scale, mask = call.plain("scale"), call.arguments["attn_mask"]
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, _MASKED)
    elif isinstance(mask, Ref) and mask.truth:
        mask = call.add("choose", mask, torch.zeros(()), torch.tensor(_MASKED), like=shape_of(mask))
    return call.add(
        "attention",
        query,
        key,
        value,
        *([] if mask is None else [mask]),
        scale=1 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        causal=bool(call.plain("is_causal")),
    )


def _max_pool(call: Call, like: Like | None = None) -> Ref:
    kernel = pair(call.plain("kernel_size"))
    return call.add(
        "max_pool2d",
        call.value("self"),
        like=like,
        kernel=kernel,
        stride=pair(call.plain("stride") or kernel),
        padding=pair(call.plain("padding")),
        dilation=pair(call.plain("dilation")),
        ceil=bool(call.plain("ceil_mode")),
    )


def _max_pool_and_places(call: Call) -> list[Operand]:
    return [_max_pool(call, call.parts[0]), Untold(WHERE_THE_LARGEST_IS)]


def _average_pool(call: Call) -> Ref:
    kernel = pair(call.plain("kernel_size"))
    if call.arguments.get("divisor_override"):
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
        factors = call.arguments.get("scale_factors") or []
        if any(
            size * factor != new for size, new, factor in zip(value.shape[2:], call.like[0][2:], factors, strict=False)
        ):
            raise Untranslatable(UNEVEN)
        return call.add(operator, value, size=call.like[0][-2:], **settings)

    return translate


LAYERS: dict[str, Translate] = {
    "_upsample_nearest2d": _to_size("resize_nearest"),
    "adaptive_avg_pool2d": _to_size("adaptive_average_pool2d"),
    "avg_pool2d": _average_pool,
    "batch_norm": _batch_norm,
    "conv2d": _conv2d,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool_and_places,
    "scaled_dot_product_attention": _attention,
    "upsample_bilinear2d": _to_size("resize_bilinear"),
    "upsample_nearest2d": _to_size("resize_nearest"),
}
"""Translations by the names of torch's operators."""
