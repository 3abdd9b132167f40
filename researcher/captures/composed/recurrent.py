"""Recurrent layers, written out step by step: LSTM, GRU and plain ones over an axis of a picture, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref, spelled

_PICTURES_SECOND = (
    "its steps would go over the pictures of a batch. Give it (B, steps, numbers) with batch_first=True, or the "
    "pictures on the second axis without"
)
# (call, what the input gives, what the state gives, the state so far) → the new state; the first of it is told.
_Step = Callable[[Call, Ref, Ref, list[Ref]], list[Ref]]


def _parts(call: Call, value: Ref, count: int) -> list[Ref]:
    """Equal parts of the last axis."""
    axis, size = len(value.shape) - 1, value.shape[-1] // count
    like: Like = [*value.shape[:-1], size], value.batch
    return [
        call.add("slice", value, like=like, axis=axis, start=place * size, stop=(place + 1) * size, step=1)
        for place in range(count)
    ]


def _same(call: Call, operator: str, *inputs: Ref) -> Ref:
    return call.add(operator, *inputs, like=shape_of(inputs[0]))


def _lstm(call: Call, given: Ref, before: Ref, state: list[Ref]) -> list[Ref]:
    """Hochreiter and Schmidhuber, Neural Computation 1997, with a gate that forgets."""
    let_in, keep, new, tell = _parts(call, _same(call, "add", given, before), 4)
    kept = _same(call, "multiply", _same(call, "sigmoid", keep), state[1])
    added = _same(call, "multiply", _same(call, "sigmoid", let_in), _same(call, "tanh", new))
    memory = _same(call, "add", kept, added)
    return [_same(call, "multiply", _same(call, "sigmoid", tell), _same(call, "tanh", memory)), memory]


def _gru(call: Call, given: Ref, before: Ref, state: list[Ref]) -> list[Ref]:
    """Cho et al., EMNLP 2014; what is reset is the state's product, as torch has it."""
    (reset, keep, new), (of_reset, of_keep, of_new) = _parts(call, given, 3), _parts(call, before, 3)
    reset = _same(call, "sigmoid", _same(call, "add", reset, of_reset))
    keep = _same(call, "sigmoid", _same(call, "add", keep, of_keep))
    new = _same(call, "tanh", _same(call, "add", new, _same(call, "multiply", reset, of_new)))
    apart = _same(call, "subtract", state[0], new)
    return [_same(call, "add", new, _same(call, "multiply", keep, apart))]


def _plain(activation: str) -> _Step:
    return lambda call, given, before, state: [_same(call, activation, _same(call, "add", given, before))]


def _product(call: Call, value: Ref, weight: Operand, bias: Operand) -> Ref:
    inputs = [call.writer.read(weight), *([] if bias is None else [call.writer.read(bias)])]
    return call.add("linear", value, *inputs, like=([*value.shape[:-1], inputs[0].shape[0]], value.batch))


def _layer(step: _Step, states: int) -> Translate:
    """All steps of all layers, there and, where it is asked for, back.

    Args:
        step: One.
        states: Values that it hands on.
    """

    def translate(call: Call) -> list[Operand]:
        value, time, begins, weights = _opened(call, states)
        count, ways = call.plain("num_layers"), 2 if call.plain("bidirectional") else 1
        last: list[list[Ref]] = []
        for layer in range(count):
            told = []
            for way in range(ways):
                number = layer * ways + way
                state = [_place(call, begin, 0, number) for begin in begins]
                outputs, state = _walked(call, step, value, time, state, weights[number], back=way == 1)
                told.append(_joined(call, outputs, time))
                last.append(state)
            value = told[0] if ways == 1 else _beside(call, told)
        return [value, *(_joined(call, [state[place] for state in last], 0) for place in range(states))]

    return translate


def _opened(call: Call, states: int) -> tuple[Ref, int, list[Ref], list[list[Operand]]]:
    """The value, the axis of its steps, what the states begin with, and the weights of each layer and way."""
    if "batch_sizes" in call.arguments:
        raise Untranslatable("it is given packed sequences. Give it a value of three axes")
    value, time = call.value("input"), 1 if call.plain("batch_first") else 0
    if len(value.shape) != 3 or value.batch != 1 - time:
        raise Untranslatable(_PICTURES_SECOND)
    given, parameters = call.arguments["hx"], list(call.arguments["params"])
    begins = [call.writer.read(one) for one in (given if states > 1 else [given])]
    if any(one.batch != 1 for one in begins):
        raise Untranslatable("its first state has the pictures on another axis than the second. Leave it out")
    each = 4 if call.plain("has_biases") else 2
    runs = call.plain("num_layers") * (2 if call.plain("bidirectional") else 1)
    if len(parameters) != each * runs:
        raise Untranslatable("its state is projected. Leave proj_size out, and put a linear layer behind it")
    weights = [parameters[each * run : each * (run + 1)] for run in range(runs)]
    return value, time, begins, [one if each == 4 else [*one, None, None] for one in weights]


def _walked(
    call: Call, step: _Step, value: Ref, time: int, state: list[Ref], weights: Sequence[Operand], *, back: bool
) -> tuple[list[Ref], list[Ref]]:
    """What each step tells, in the order of the places, and the state at the end."""
    of_input, of_state, bias, bias_of_state = weights
    given = _product(call, value, of_input, bias)
    outputs: dict[int, Ref] = {}
    places = range(value.shape[time])
    for place in reversed(places) if back else places:
        before = _product(call, state[0], of_state, bias_of_state)
        state = step(call, _place(call, given, time, place), before, state)
        outputs[place] = state[0]
    return [outputs[place] for place in places], state


def _place(call: Call, value: Ref, axis: int, number: int) -> Ref:
    """One place of an axis, of which nothing is left."""
    if value.shape[axis] > 1:
        like: Like = [1 if own == axis else size for own, size in enumerate(value.shape)], value.batch
        value = call.add("slice", value, like=like, axis=axis, start=number, stop=number + 1, step=1)
    assert value.batch is not None  # noqa: S101 - looked at before
    shape = [size for own, size in enumerate(value.shape) if own != axis]
    batch = value.batch - (value.batch > axis)
    return call.add("reshape", value, like=(shape, batch), shape=spelled(shape, batch))


def _joined(call: Call, values: Sequence[Ref], axis: int) -> Ref:
    """Values beside each other on a new axis."""
    parts = []
    for value in values:
        shape = [*value.shape[:axis], 1, *value.shape[axis:]]
        batch = 0 if axis else 1  # of two axes, of which the pictures lie on the first
        parts.append(call.add("reshape", value, like=(shape, batch), shape=spelled(shape, batch)))
    if len(parts) == 1:
        return parts[0]
    shape = [len(parts) if own == axis else size for own, size in enumerate(parts[0].shape)]
    return call.add("concatenate", *parts, like=(shape, parts[0].batch), axis=axis)


def _beside(call: Call, values: Sequence[Ref]) -> Ref:
    """Both ways on the last axis."""
    shape = [*values[0].shape[:-1], sum(value.shape[-1] for value in values)]
    return call.add("concatenate", *values, like=(shape, values[0].batch), axis=len(shape) - 1)


def _cell(step: _Step, states: int) -> Translate:
    """One step.

    Args:
        step: It.
        states: Values that it hands on.
    """

    def translate(call: Call) -> Operand:
        value, given = call.value("input"), call.arguments["hx"]
        state = [call.writer.read(one) for one in (given if states > 1 else [given])]
        if any(len(one.shape) != 2 or one.batch != 0 for one in (value, *state)):
            raise Untranslatable("it is given no batch of numbers. Give it two axes, the pictures first")
        product = _product(call, value, call.arguments["w_ih"], call.arguments["b_ih"])
        before = _product(call, state[0], call.arguments["w_hh"], call.arguments["b_hh"])
        found = step(call, product, before, state)
        return found if states > 1 else found[0]

    return translate


RECURRENT: dict[str, Translate] = {
    "gru": _layer(_gru, 1),
    "gru_cell": _cell(_gru, 1),
    "lstm": _layer(_lstm, 2),
    "lstm_cell": _cell(_lstm, 2),
    "rnn_relu": _layer(_plain("relu"), 1),
    "rnn_relu_cell": _cell(_plain("relu"), 1),
    "rnn_tanh": _layer(_plain("tanh"), 1),
    "rnn_tanh_cell": _cell(_plain("tanh"), 1),
}
"""Translations by the names of torch's operators."""
