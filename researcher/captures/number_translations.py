"""Translations of operators that compute number by number, or over axes of a picture."""

from __future__ import annotations

import math
from typing import Any

import torch

from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref

_FAR = 1e30


def _plain(operator: str) -> Translate:
    return lambda call: call.add(operator, call.value(next(iter(call.arguments))))


def _with(operator: str, **settings: Any) -> Translate:
    return lambda call: call.add(operator, call.value(next(iter(call.arguments))), **settings)


def _is_number(value: Operand) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(sign: int) -> Translate:
    def translate(call: Call) -> Ref:
        alpha = call.plain("alpha")
        if _is_number(call.arguments["other"]):
            return call.affine(call.floats("self"), 1, sign * alpha * call.plain("other"))
        other = call.floats("other") if isinstance(call.arguments["other"], Ref | torch.Tensor) else call.plain("other")
        if alpha != 1:
            other = call.affine(other, alpha, 0, like=shape_of(call.writer.read(other)))
        return call.add("add" if sign > 0 else "subtract", call.floats("self"), other)

    return translate


def _reversed_difference(call: Call) -> Ref:
    if not _is_number(call.arguments["other"]):
        raise Untranslatable("it subtracts from something that is no number")
    return call.affine(call.floats("self"), -call.plain("alpha"), call.plain("other"))


def _multiply(call: Call) -> Ref:
    if isinstance(call.arguments["other"], Ref | torch.Tensor):
        return call.add("multiply", call.floats("self"), call.floats("other"))
    return call.affine(call.floats("self"), call.plain("other"), 0)


def _divide(call: Call) -> Ref:
    if isinstance(call.arguments["other"], Ref | torch.Tensor):
        return call.add("divide", call.floats("self"), call.floats("other"))
    return call.affine(call.floats("self"), 1 / call.plain("other"), 0)


def _both(operator: str) -> Translate:
    return lambda call: call.add(operator, call.floats("self"), call.floats("other"))


def _clamp(call: Call) -> Ref:
    low, high = (call.plain(name) if name in call.arguments else None for name in ("min", "max"))
    low, high = (-_FAR if low is None else float(low)), (_FAR if high is None else float(high))
    return call.add("clamp", call.value("self"), low=low, high=high)


def _hardtanh(call: Call) -> Ref:
    low, high = float(call.plain("min_val")), float(call.plain("max_val"))
    return call.add("clamp", call.value("self"), low=low, high=high)


def _gelu(call: Call) -> Ref:
    return call.add("gelu", call.value("self"), tanh=call.plain("approximate") == "tanh")


def _leaky(call: Call) -> Ref:
    return call.add("leaky_relu", call.value("self"), slope=float(call.plain("negative_slope")))


def _square(call: Call) -> Ref:
    return call.add("multiply", call.value("self"), call.value("self"))


def _addcmul(call: Call) -> Ref:
    product = call.add("multiply", call.floats("tensor1"), call.floats("tensor2"))
    if call.plain("value") != 1:
        product = call.affine(product, call.plain("value"), 0)
    return call.add("add", call.floats("self"), product)


def _along(operator: str) -> Translate:
    def translate(call: Call) -> Ref:
        value = call.value("self")
        return call.add(operator, value, axis=call.axis(call.plain("dim"), value))

    return translate


def _over(operator: str) -> Translate:
    def translate(call: Call) -> Ref:
        value = call.value("self")
        axes = call.axes(call.plain("dim") if "dim" in call.arguments else None, value)
        return call.add(operator, value, axes=axes, keep=bool(call.arguments.get("keepdim", False)))

    return translate


def _norm(name: str) -> Translate:
    def translate(call: Call) -> Ref:
        value, order = call.value("self"), call.plain(name)
        if order in (2, None, "fro"):
            return _over("norm")(call)
        axes = call.axes(call.plain("dim") if "dim" in call.arguments else None, value)
        return length(call, value, axes, float(order), keep=bool(call.arguments.get("keepdim", False)))

    return translate


def length(call: Call, value: Ref, axes: list[int], order: float, *, keep: bool) -> Ref:
    """A norm of any order above 0 over axes, without a gradient where all numbers are 0.

    Args:
        call: Whose result it is.
        value: Whose numbers it is of.
        axes: Over which it goes.
        order: 1 for the sum of absolute values, infinity for the largest.
        keep: Whether the axes stay, with length 1.
    """
    if order == 2:
        return call.add("norm", value, axes=axes, keep=keep)
    if not order > 0:
        raise Untranslatable("only norms of an order above 0 have a rule")
    sizes = call.add("absolute", value, like=shape_of(value))
    if order in (1, math.inf):
        return call.add("sum" if order == 1 else "largest", sizes, axes=axes, keep=keep)
    powers = call.add("power", sizes, like=shape_of(value), exponent=order)
    total = call.add("sum", powers, axes=axes, keep=keep)
    none = call.add("equal", total, torch.zeros(()))
    apart = call.add("choose", none, torch.ones(()), total)
    return call.add("choose", none, torch.zeros(()), call.add("power", apart, exponent=1 / order))


def _variance(call: Call) -> Ref:
    return _spread(call, call.like)


def _deviation(call: Call) -> Ref:
    return call.add("square_root", _spread(call, call.like))


def _spread(call: Call, like: Like) -> Ref:
    value = call.value("self")
    correction = call.arguments.get("correction", 1 if call.arguments.get("unbiased", True) else 0)
    axes = call.axes(call.plain("dim") if "dim" in call.arguments else None, value)
    correction, keep = 1 if correction is None else int(correction), bool(call.arguments.get("keepdim", False))
    return call.add("variance", value, like=like, axes=axes, keep=keep, correction=correction)


def _with_mean(call: Call) -> tuple[Ref, Ref]:
    """The variance, and the mean over the same axes."""
    like, value = call.parts[0], call.value("self")
    axes = call.axes(call.plain("dim") if "dim" in call.arguments else None, value)
    mean = call.add("mean", value, like=like, axes=axes, keep=bool(call.arguments.get("keepdim", False)))
    return _spread(call, like), mean


def _variance_and_mean(call: Call) -> list[Operand]:
    return list(_with_mean(call))


def _deviation_and_mean(call: Call) -> list[Operand]:
    variance, mean = _with_mean(call)
    return [call.add("square_root", variance, like=shape_of(variance)), mean]


def _rms_norm(call: Call) -> Ref:
    value = call.value("input")
    axes = list(range(len(value.shape) - len(call.plain("normalized_shape")), len(value.shape)))
    kept = [1 if axis in axes else size for axis, size in enumerate(value.shape)], value.batch
    square = call.add("multiply", value, value)
    eps = call.plain("eps")
    mean = call.add("mean", square, like=kept, axes=axes, keep=True)
    root = call.affine(mean, 1, torch.finfo(torch.float32).eps if eps is None else eps, like=kept)
    found = call.add("multiply", value, call.add("power", root, like=kept, exponent=-0.5))
    return found if call.arguments["weight"] is None else call.add("multiply", found, call.value("weight"))


def _log_sum_exp(call: Call) -> Ref:
    """The largest number plus the logarithm of the sum of exp(x - the largest), which no large number overflows."""
    value = call.value("self")
    axes = call.axes(call.plain("dim"), value)
    kept = [1 if axis in axes else size for axis, size in enumerate(value.shape)], value.batch
    below = call.add("subtract", value, _largest(call, value, axes, kept, keep=True), like=shape_of(value))
    terms = call.add("exponential", below, like=shape_of(value))
    keep = bool(call.arguments["keepdim"])
    summed = call.add("logarithm", call.add("sum", terms, axes=axes, keep=keep))
    return call.add("add", summed, _largest(call, value, axes, call.like, keep=keep))


def _largest(call: Call, value: Ref, axes: list[int], like: Like, *, keep: bool) -> Ref:
    return call.add("largest", value, like=like, axes=axes, keep=keep)


def _log_sigmoid(call: Call) -> Ref:
    value = call.value("self")
    return call.affine(call.add("softplus", call.affine(value, -1, 0)), -1, 0)


def _log1p(call: Call) -> Ref:
    return call.add("logarithm", call.affine(call.value("self"), 1, 1))


NUMBERS: dict[str, Translate] = {
    **{name: _plain(name) for name in ("mish", "relu", "sigmoid", "silu", "tanh", "reciprocal", "maximum", "minimum")},
    "abs": _plain("absolute"),
    "add": _sum(1),
    "addcmul": _addcmul,
    "amax": _over("largest"),
    "amin": _over("smallest"),
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "clip": _clamp,
    "cos": _plain("cosine"),
    "cumsum": _along("cumulative_sum"),
    "div": _divide,
    "erf": _plain("error_function"),
    "exp": _plain("exponential"),
    "gelu": _gelu,
    "hardsigmoid": _plain("hard_sigmoid"),
    "hardswish": _plain("hard_swish"),
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky,
    "linalg_vector_norm": _norm("ord"),
    "log": _plain("logarithm"),
    "log1p": _log1p,
    "log_sigmoid": _log_sigmoid,
    "log_softmax": _along("log_softmax"),
    "logsumexp": _log_sum_exp,
    "maximum": _both("maximum"),
    "mean": _over("mean"),
    "minimum": _both("minimum"),
    "mul": _multiply,
    "neg": _with("affine", factor=-1.0, offset=0.0),
    "norm": _norm("p"),
    "relu6": _with("clamp", low=0.0, high=6.0),
    "rms_norm": _rms_norm,
    "rsqrt": _with("power", exponent=-0.5),
    "rsub": _reversed_difference,
    "sin": _plain("sine"),
    "softmax": _along("softmax"),
    "sqrt": _plain("square_root"),
    "square": _square,
    "std": _deviation,
    "std_mean": _deviation_and_mean,
    "sub": _sum(-1),
    "sum": _over("sum"),
    "var": _variance,
    "var_mean": _variance_and_mean,
}
"""Translations by the names of torch's operators."""
