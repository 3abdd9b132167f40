"""Functions of numbers that are written as several: activations with weights of their own, gates, similarities."""

from __future__ import annotations

import math

import torch

from researcher.captures.number_translations import NUMBERS
from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Ref

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
_FAR = 1e30


def _prelu(call: Call) -> Ref:
    """max(x, 0) + a min(x, 0), with a slope for each channel or one for all."""
    value, slope = call.value("self"), call.value("weight")
    if slope.shape != (1,):
        shape = [size if axis == 1 else 1 for axis, size in enumerate(value.shape)]
        slope = call.add("reshape", slope, like=(shape, None), shape=shape)
    above, below = call.add("relu", value), call.add("clamp", value, low=-_FAR, high=0.0)
    return call.add("add", above, call.add("multiply", below, slope))


def _elu(call: Call) -> Ref:
    """scale times ELU of alpha, of a number that is scaled before."""
    alpha, scale, before = (float(call.plain(name)) for name in ("alpha", "scale", "input_scale"))
    if before != 1 and scale != 1:
        raise Untranslatable("it is scaled twice. Use ELU without")
    return _scaled_elu(call, alpha, scale, before)


def _scaled_elu(call: Call, alpha: float, scale: float, before: float = 1.0) -> Ref:
    """Of a factor before below 0 alone, as torch has it."""
    value = call.value("self")
    if before != 1:
        below = call.affine(call.add("clamp", value, low=-_FAR, high=0.0), before, 0)
        return call.add("add", call.add("relu", value), call.add("elu", below, alpha=alpha))
    found = call.add("elu", value, alpha=alpha)
    return found if scale == 1 else call.affine(found, scale, 0)


def _selu(call: Call) -> Ref:
    return _scaled_elu(call, _SELU_ALPHA, _SELU_SCALE)


def _celu(call: Call) -> Ref:
    alpha = float(call.plain("alpha"))
    return _scaled_elu(call, alpha, 1.0, 1 / alpha)


def _sum_of_exponentials(call: Call) -> Ref:
    """log(exp x + exp y), which no large number overflows."""
    first, second = call.floats("self"), call.floats("other")
    apart = call.add("absolute", call.add("subtract", first, second))
    return call.add("add", call.add("maximum", first, second), call.add("softplus", call.affine(apart, -1, 0)))


def _quotient_added(call: Call) -> Ref:
    quotient = call.add("divide", call.floats("tensor1"), call.floats("tensor2"))
    return call.add("add", call.floats("self"), call.affine(quotient, call.plain("value"), 0))


def _turned_over(axis: int) -> Translate:
    return lambda call: call.add("flip", call.value("self"), axes=[axis])


def _opposite_error(call: Call) -> Ref:
    return call.affine(call.add("error_function", call.value("self")), -1, 1)


def _tangent(call: Call) -> Ref:
    return call.add("divide", *(call.add(name, call.value("self")) for name in ("sine", "cosine")))


def _hyperbolic_tangents_inverse(call: Call) -> Ref:
    value = call.value("self")
    above, below = (call.add("logarithm", call.affine(value, sign, 1)) for sign in (1, -1))
    return call.affine(call.add("subtract", above, below), 0.5, 0)


def _gated(call: Call) -> Ref:
    """One half of an axis times the sigmoid of the other."""
    value = call.value("self")
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch:
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    half = value.shape[axis] // 2
    one, other = (call.add("slice", value, axis=axis, start=start, stop=start + half, step=1) for start in (0, half))
    return call.add("multiply", one, call.add("sigmoid", other))


def _power(call: Call) -> Ref:
    """To a number, or exp(y log x) to one that is trained; of what is not above 0 that is no number, as in torch."""
    exponent = call.arguments["exponent"]
    if not isinstance(exponent, Ref | torch.Tensor):
        return call.add("power", call.value("self"), exponent=float(call.plain("exponent")))
    if not isinstance(call.arguments["self"], Ref | torch.Tensor):
        base = float(call.plain("self"))
        if base <= 0:
            raise Untranslatable("it takes the power of a number that is not above 0")
        return call.add("exponential", call.affine(call.value("exponent"), math.log(base), 0))
    base_of = call.writer.read(call.floats("self"))
    logarithm = call.add("logarithm", base_of, like=shape_of(base_of))
    return call.add("exponential", call.add("multiply", logarithm, call.floats("exponent")))


def _softshrink(call: Call) -> Ref:
    """What is left of a number beyond a bound on either side."""
    value, bound = call.value("self"), float(call.plain("lambd"))
    return call.add("subtract", value, call.add("clamp", value, low=-bound, high=bound))


def _logit(call: Call) -> Ref:
    value, eps = call.value("self"), call.plain("eps")
    if eps is not None:
        value = call.add("clamp", value, low=float(eps), high=1 - float(eps))
    return call.add("subtract", call.add("logarithm", value), call.add("logarithm", call.affine(value, -1, 1)))


def _hyperbolic(sign: int) -> Translate:
    def translate(call: Call) -> Ref:
        value = call.value("self")
        up, down = call.add("exponential", value), call.add("exponential", call.affine(value, -1, 0))
        return call.affine(call.add("add" if sign > 0 else "subtract", up, down), 0.5, 0)

    return translate


def _minus_one(call: Call) -> Ref:
    return call.affine(call.add("exponential", call.value("self")), 1, -1)


def _logarithm(base: float) -> Translate:
    return lambda call: call.affine(call.add("logarithm", call.value("self")), 1 / math.log(base), 0)


def _between(call: Call) -> Ref:
    """x + w (y - x)."""
    first, second, weight = call.floats("self"), call.floats("end"), call.arguments["weight"]
    apart = call.add("subtract", second, first)
    if isinstance(weight, Ref | torch.Tensor):
        return call.add("add", first, call.add("multiply", apart, call.floats("weight")))
    return call.add("add", first, call.affine(apart, call.plain("weight"), 0))


def _cosine(call: Call) -> Ref:
    """The product of two directions, summed over an axis; both lengths are eps at least."""
    first, second = (call.writer.read(call.floats(name)) for name in ("x1", "x2"))
    shape, batch = _together(first, second)
    axis = call.plain("dim") % len(shape)
    if axis == batch:
        raise Untranslatable("it compares over the pictures. Compare over the axes of a picture")
    product = call.add(
        "multiply", *(_direction(call, one, axis - len(shape)) for one in (first, second)), like=(shape, batch)
    )
    return call.add("sum", product, axes=[axis], keep=False)


def _direction(call: Call, value: Ref, axis: int) -> Ref:
    shape, batch = shape_of(value)
    kept = [1 if number == axis % len(shape) else size for number, size in enumerate(shape)], batch
    length = call.add("norm", value, like=kept, axes=[axis % len(shape)], keep=True)
    bounded = call.add("clamp", length, like=kept, low=float(call.plain("eps")), high=_FAR)
    return call.add("divide", value, bounded, like=(shape, batch))


def _together(first: Ref, second: Ref) -> Like:
    """The shape of both, broadcast."""
    axes = max(len(first.shape), len(second.shape))
    own = [[1] * (axes - len(one.shape)) + list(one.shape) for one in (first, second)]
    places = [one.batch + axes - len(one.shape) for one in (first, second) if one.batch is not None]
    return [max(sizes) for sizes in zip(*own, strict=True)], places[0] if places else None


def _weight_norm(call: Call) -> Ref:
    """g v / |v|, with a length for each slice along an axis."""
    value, length = call.value("v"), call.value("g")
    axis = call.plain("dim")
    axes = [number for number in range(len(value.shape)) if axis == -1 or number != axis % len(value.shape)]
    norm = call.add(
        "norm", value, like=shape_of(length) if axis != -1 else ([1] * len(value.shape), None), axes=axes, keep=True
    )
    return call.add("multiply", value, call.add("divide", length, norm, like=shape_of(norm)))


def _triangle(upper: bool) -> Translate:
    """Times ones on one side of a diagonal of the last two axes, and zeros on the other."""

    def translate(call: Call) -> Ref:
        value = call.value("self")
        if value.batch is not None and value.batch >= len(value.shape) - 2:
            raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
        ones = torch.ones(value.shape[-2:])
        mask = ones.triu(call.plain("diagonal")) if upper else ones.tril(call.plain("diagonal"))
        return call.add("multiply", value, mask)

    return translate


FUNCTIONS: dict[str, Translate] = {
    "_weight_norm": _weight_norm,
    "addcdiv": _quotient_added,
    "atanh": _hyperbolic_tangents_inverse,
    "celu": _celu,
    "cosh": _hyperbolic(1),
    "cosine_similarity": _cosine,
    "elu": _elu,
    "erfc": _opposite_error,
    "expm1": _minus_one,
    "fliplr": _turned_over(1),
    "flipud": _turned_over(0),
    "glu": _gated,
    "lerp": _between,
    "logaddexp": _sum_of_exponentials,
    "logit": _logit,
    "log10": _logarithm(10),
    "log2": _logarithm(2),
    "pow": _power,
    "prelu": _prelu,
    "selu": _selu,
    "sinh": _hyperbolic(-1),
    "special_erfc": _opposite_error,
    "special_expit": NUMBERS["sigmoid"],
    "tan": _tangent,
    "softshrink": _softshrink,
    "tril": _triangle(upper=False),
    "triu": _triangle(upper=True),
}
"""Translations by the names of torch's operators."""
