"""Rules of operators that compute number by number, or over axes other than that of the pictures."""

from __future__ import annotations

from policies.graphs.attributes import AXES, AXIS, EPS, Attribute, Flag, Number, Whole
from policies.graphs.operator import Attributes, Operator
from policies.graphs.values import Refusal, Value, broadcast, keep_apart, need_floats, result

_ALIKE = "any axis; each picture's numbers stay where they are"
_TOGETHER = "all inputs have the pictures on the same axis, or are the same for all pictures with length 1 there"
_OTHERS = "none of the axes is that of the pictures"


def _each_number(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    return result(inputs, inputs[0].shape, inputs[0].batch)


def _combined(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    return result(inputs, *broadcast(inputs))


def _where(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    if inputs[0].kind != "bool":
        raise Refusal(f"its first input must be a constant of truth values, got {inputs[0].kind}")
    need_floats(*inputs[1:])
    return result(inputs, *broadcast(inputs))


def _condition(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """Numbers of what is chosen by, which the way back keeps as truth values."""
    return inputs[0].numbers


def _clamp(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    if attributes["low"] > attributes["high"]:
        raise Refusal(f"its low, {attributes['low']}, is above its high, {attributes['high']}")
    return _each_number(inputs, attributes)


def _reduced(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    """Over some axes, which are left out or become 1."""
    need_floats(*inputs)
    (value,) = inputs
    axes = attributes["axes"]
    keep_apart(value, axes, "reduces")
    if attributes["keep"]:
        return result(inputs, [1 if axis in axes else size for axis, size in enumerate(value.shape)], value.batch)
    left = [axis for axis in range(len(value.shape)) if axis not in axes]
    return result(
        inputs, [value.shape[axis] for axis in left], None if value.batch is None else left.index(value.batch)
    )


def _variance(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    made = _reduced(inputs, attributes)
    if inputs[0].numbers // made.numbers <= attributes["correction"]:
        raise Refusal("it has too few numbers for a variance with this correction")
    return made


def _along_one(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    keep_apart(inputs[0], [attributes["axis"]], "normalises")
    return result(inputs, inputs[0].shape, inputs[0].batch)


def _cumulative(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    keep_apart(inputs[0], [attributes["axis"]], "sums")
    return result(inputs, inputs[0].shape, inputs[0].batch)


def _standardised(inputs: tuple[Value, ...], attributes: Attributes) -> Value:
    need_floats(*inputs)
    keep_apart(inputs[0], attributes["axes"], "normalises")
    return result(inputs, inputs[0].shape, inputs[0].batch)


_FUNCTIONS = {
    "absolute": "the absolute value of x",
    "cosine": "cos(x)",
    "error_function": "2 / sqrt(pi) times the integral of exp(-t²) from 0 to x",
    "exponential": "exp(x)",
    "hard_sigmoid": "clamp(x / 6 + 1/2, 0, 1)",
    "hard_swish": "x times hard_sigmoid(x)",
    "logarithm": "log(x)",
    "mish": "x tanh(log(1 + exp(x)))",
    "reciprocal": "1 / x",
    "relu": "max(x, 0)",
    "sigmoid": "1 / (1 + exp(-x))",
    "silu": "x sigmoid(x)",
    "sine": "sin(x)",
    "softplus": "log(1 + exp(x))",
    "square_root": "the square root of x",
    "tanh": "tanh(x)",
}
_COMBINATIONS = {
    "add": "x + y",
    "divide": "x / y",
    "maximum": "the greater of x and y",
    "minimum": "the lesser of x and y",
    "multiply": "x y",
    "subtract": "x - y",
}
_COMPARISONS = {
    "at_least": "1 where x is y or above, else 0; without a gradient",
    "equal": "1 where x is y, else 0; without a gradient",
    "greater": "1 where x is above y, else 0; without a gradient",
}
_REDUCTIONS = {
    "largest": "the largest number over the axes",
    "mean": "the mean over the axes",
    "norm": "the Euclidean norm over the axes",
    "smallest": "the smallest number over the axes",
    "sum": "the sum over the axes",
}
_OVER: dict[str, Attribute] = {"axes": AXES, "keep": Flag()}

NUMBER_RULES: dict[str, Operator] = {
    **{name: Operator(does, _ALIKE, _each_number) for name, does in _FUNCTIONS.items()},
    **{name: Operator(does, _TOGETHER, _combined, (2, 2)) for name, does in _COMBINATIONS.items()},
    **{name: Operator(does, _TOGETHER, _combined, (2, 2), flat=(0, 1)) for name, does in _COMPARISONS.items()},
    **{name: Operator(does, _OTHERS, _reduced, attributes=_OVER) for name, does in _REDUCTIONS.items()},
    "affine": Operator("factor x + offset", _ALIKE, _each_number, attributes={"factor": Number(), "offset": Number()}),
    "choose": Operator(
        "y where x is not 0, else z; without a gradient of x",
        _TOGETHER,
        _combined,
        (3, 3),
        flat=(0,),
        between=_condition,
    ),
    "clamp": Operator("x within low and high", _ALIKE, _clamp, attributes={"low": Number(), "high": Number()}),
    "floor": Operator("the greatest whole number up to x; without a gradient", _ALIKE, _each_number, flat=(0,)),
    "elu": Operator("x, or alpha (exp(x) - 1) below 0", _ALIKE, _each_number, attributes={"alpha": Number(0.0, 100.0)}),
    "gelu": Operator("x times the normal distribution's function", _ALIKE, _each_number, attributes={"tanh": Flag()}),
    "leaky_relu": Operator("x, or slope x below 0", _ALIKE, _each_number, attributes={"slope": Number(0.0, 1.0)}),
    "power": Operator("x to the exponent", _ALIKE, _each_number, attributes={"exponent": Number(-8.0, 8.0)}),
    "without_gradient": Operator("x; without a gradient", _ALIKE, _each_number, flat=(0,)),
    "where": Operator("y where the constant x is true, else z", _TOGETHER, _where, (3, 3)),
    "variance": Operator(
        "the variance over the axes", _OTHERS, _variance, attributes={**_OVER, "correction": Whole(0, 1)}
    ),
    "softmax": Operator("softmax along the axis", _OTHERS, _along_one, attributes={"axis": AXIS}),
    "log_softmax": Operator("log of softmax along the axis", _OTHERS, _along_one, attributes={"axis": AXIS}),
    "cumulative_sum": Operator("sums along the axis so far", _OTHERS, _cumulative, attributes={"axis": AXIS}),
    "standardise": Operator(
        "x minus its mean over the axes, over the root of its variance and eps",
        _OTHERS,
        _standardised,
        attributes={"axes": AXES, "eps": EPS},
    ),
}
