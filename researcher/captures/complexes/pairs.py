"""Complex values, followed as their two real parts: what is made of them is written for each part, or for products.

A graph has real numbers alone. Whatever moves numbers or adds them does the same to both parts; a product is four, of
which one is taken from another; an absolute value is the length of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from researcher.captures.chosen.angles import angle_of
from researcher.captures.chosen.every import TRANSLATIONS
from researcher.captures.chosen.ranked import shaped
from researcher.captures.complexes.fourier import FOURIER, SHIFTS
from researcher.captures.composed.rows import FILLED
from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Pair, Ref, spelled

_NO_RULE = (
    "it has no rule for complex numbers. They are added, multiplied, moved, transformed and taken apart; compute the "
    "rest of their real and imaginary parts"
)
_IN_PARTS = {
    "_unsafe_view", "add", "broadcast_tensors", "cat", "chunk", "copy", "cumsum", "expand", "expand_as", "fft_fftshift",
    "fft_ifftshift", "fill", "flatten", "flip", "index", "index_select", "mT", "mean", "moveaxis", "movedim", "narrow",
    "neg", "numpy_T", "pad", "permute", "repeat", "repeat_interleave", "reshape", "reshape_as", "roll", "rot90",
    "rsub", "select", "select_scatter", "slice", "slice_scatter", "split", "split_with_sizes", "squeeze", "stack",
    "sub", "sum", "swapaxes", "swapdims", "t", "tensor_split", "tile", "transpose", "tril", "triu", "unbind",
    "unflatten", "unsqueeze", "view", "view_as", "zero",
}  # fmt: skip
_PRODUCTS = ("bmm", "einsum", "matmul", "mm", "mul", "tensordot")


def is_complex(value: Operand) -> bool:
    """Whether a traced value is complex."""
    entries = value if isinstance(value, list | tuple) else [value]
    return any(
        isinstance(one, Pair | complex) or (isinstance(one, torch.Tensor) and one.is_complex()) for one in entries
    )


def in_parts(call: Call, name: str) -> Operand:
    """What an operator makes of complex values, or what complex value it makes.

    Args:
        call: As it was traced.
        name: Of torch's operator.

    Raises:
        Untranslatable: It is none of those that complex values are followed through.
    """
    if call.dtype.is_complex and call.dtype != torch.complex64:
        raise Untranslatable(f"it computes in {call.dtype}. Use complex64 throughout")
    if name in COMPLEX:
        return COMPLEX[name](call)
    if name in SHIFTS and not is_complex(call.arguments["self"]):
        return SHIFTS[name](call)
    if name in _PRODUCTS:
        return _product(call, name)
    if name in FILLED:
        return FILLED[name](call)
    if name not in _IN_PARTS:
        raise Untranslatable(_NO_RULE)
    both = []
    for which in (0, 1):
        arguments = {
            key: one if key in ("index", "indices") else _part(call, key, one, which)
            for key, one in call.arguments.items()
        }
        both.append(_translated(call, name, arguments))
    if not call.dtype.is_complex:  # a complex value is written into a real one
        return both[0]
    if isinstance(both[0], list):
        return [Pair(*parts) for parts in zip(*both, strict=True)]
    return Pair(*both)


def _translated(call: Call, name: str, arguments: Mapping[str, Operand], like: Like | None = None) -> Operand:
    """Of real parts, as torch's operator is translated for real values."""
    shape = None if call.parts else (call.like if like is None else like)
    return (SHIFTS.get(name) or TRANSLATIONS[name])(Call(call.writer, arguments, shape, call.parts, torch.float32))


def _part(call: Call, key: str, value: Operand, which: int) -> Operand:
    """The real or the imaginary part of an argument; a real value's is 0, and settings are both parts'."""
    if isinstance(value, list | tuple) and any(isinstance(one, Ref | Pair | torch.Tensor) for one in value):
        return [_part(call, key, one, which) for one in value]
    if isinstance(value, Pair):
        return value.parts[which]
    if isinstance(value, torch.Tensor) and value.is_complex():
        return (value.imag if which else value.real).contiguous()
    if isinstance(value, complex):
        return value.imag if which else value.real
    if which == 0:
        return value
    if isinstance(value, Ref):
        return call.affine(value, 0, 0, like=shape_of(value))
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return torch.zeros_like(value)
    return 0.0 if key in ("other", "value") and isinstance(value, int | float) else value


def _pair(call: Call, value: Operand) -> tuple[Operand, Operand | None]:
    """Both parts of an operand; of a real one no imaginary part."""
    if isinstance(value, int | float):
        value = torch.tensor(float(value))
    if isinstance(value, complex):
        value = torch.tensor(value)
    if isinstance(value, Ref) or (isinstance(value, torch.Tensor) and not value.is_complex()):
        return value, None
    return _part(call, "", value, 0), _part(call, "", value, 1)


def _product(call: Call, name: str) -> Pair:
    """(a + bi)(c + di), by the real product of that name."""
    keys = list(call.arguments)
    listed = name == "einsum"
    operands = call.arguments["tensors"] if listed else [call.arguments[key] for key in keys[:2]]
    if len(operands) == 1:
        return Pair(*(_translated(call, name, {**call.arguments, "tensors": [one]}) for one in operands[0].parts))
    if len(operands) != 2:
        raise Untranslatable("it multiplies more than two values at once. Multiply two at a time")
    (a, b), (c, d) = (_pair(call, one) for one in operands)

    def times(first: Operand, second: Operand) -> Operand:
        new = {"tensors": [first, second]} if listed else dict(zip(keys[:2], (first, second), strict=True))
        return _translated(call, name, {**call.arguments, **new})

    if b is None:
        return Pair(times(a, c), times(a, d))
    if d is None:
        return Pair(times(a, c), times(b, c))
    real = call.add("subtract", times(a, c), times(b, d))
    return Pair(real, call.add("add", times(a, d), times(b, c)))


def _divided(call: Call) -> Pair:
    """By a real value; or by a complex one, times its conjugate over its length, squared."""
    own, by = call.arguments["self"], call.arguments["other"]
    if call.arguments.get("rounding_mode") is not None:
        raise Untranslatable(_NO_RULE)
    (a, b), (c, d) = _pair(call, own), _pair(call, by)
    if d is None:
        zero = torch.zeros(()) if b is None else b
        return Pair(*(_translated(call, "div", {**call.arguments, "self": one, "other": by}) for one in (a, zero)))
    square = call.add("add", *(call.add("multiply", one, one, like=_shape(one)) for one in (c, d)), like=_shape(c))
    zero = torch.zeros(())
    b = zero if b is None else b
    real = call.add("add", call.add("multiply", a, c), call.add("multiply", b, d))
    imaginary = call.add("subtract", call.add("multiply", b, c), call.add("multiply", a, d))
    return Pair(call.add("divide", real, square), call.add("divide", imaginary, square))


def _shape(value: Operand) -> Like:
    return shape_of(value) if isinstance(value, Ref) else (list(value.shape), None)


def _of_both(which: int) -> Translate:
    def translate(call: Call) -> Operand:
        real, imaginary = _pair(call, call.arguments["self"])
        if imaginary is None:
            return real if which == 0 else torch.zeros(())
        return call.writer.read((real, imaginary)[which])

    return translate


def _beside(call: Call, value: Operand) -> Ref:
    """Both parts along a new last axis."""
    parts = [call.writer.read(_part(call, "", value, which)) for which in (0, 1)]
    like: Like = [*parts[0].shape, 1], parts[0].batch
    apart = [call.add("reshape", one, like=like, shape=spelled(*like)) for one in parts]
    axis = len(like[0]) - 1
    return call.add("concatenate", *apart, like=([*like[0][:-1], 2], like[1]), axis=axis)


def _as_real(call: Call) -> Ref:
    return _beside(call, call.arguments["self"])


def _as_complex(call: Call) -> Pair:
    value = call.value("self")
    axis = len(value.shape) - 1
    one: Like = [*value.shape[:-1], 1], value.batch
    halves = [call.add("slice", value, like=one, axis=axis, start=k, stop=k + 1, step=1) for k in (0, 1)]
    return Pair(*(shaped(call, half, *call.like) for half in halves))


def _of_parts(call: Call) -> Pair:
    return Pair(call.value("real"), call.value("imag"))


def _of_angles(call: Call) -> Pair:
    sizes, angle = call.value("abs"), call.value("angle")
    both = (call.add(name, angle, like=shape_of(angle)) for name in ("cosine", "sine"))
    return Pair(*(call.add("multiply", sizes, one) for one in both))


def _size(call: Call) -> Ref:
    both = _beside(call, call.arguments["self"])
    return call.add("norm", both, axes=[len(both.shape) - 1], keep=False)


def _angle(call: Call) -> Ref:
    real, imaginary = (call.writer.read(_part(call, "", call.arguments["self"], which)) for which in (0, 1))
    return angle_of(call, imaginary, real)


def _opposite(call: Call) -> Pair:
    real, imaginary = _pair(call, call.arguments["self"])
    return Pair(real, call.affine(imaginary, -1, 0))


def _exponential(call: Call) -> Pair:
    real, imaginary = _pair(call, call.arguments["self"])
    size = call.add("exponential", real)
    return Pair(*(call.add("multiply", size, call.add(name, imaginary)) for name in ("cosine", "sine")))


def _square(call: Call) -> Pair:
    if call.arguments.get("exponent", 2) != 2:
        raise Untranslatable(_NO_RULE)
    own = call.arguments["self"]
    return _product(Call(call.writer, {"self": own, "other": own}, call.like, (), torch.complex64), "mul")


def _same(call: Call) -> Operand:
    """The value itself, or a real one as a complex one; of a complex one that becomes real the real part."""
    real, imaginary = _pair(call, call.arguments["self"])
    if not call.dtype.is_complex:
        return real
    return Pair(real, call.affine(real, 0, 0) if imaginary is None else imaginary)


COMPLEX_TOO = {*FOURIER, *SHIFTS}
"""Names of those that are translated here also where nothing of what they take or give is complex."""

Of = Callable[[Call], Any]
COMPLEX: dict[str, Of] = {
    **FOURIER,
    **dict.fromkeys(("_conj", "conj", "conj_physical"), _opposite),
    **dict.fromkeys(("_to_copy", "alias", "clone", "contiguous", "lift_fresh_copy", "resolve_conj", "to"), _same),
    "abs": _size,
    "angle": _angle,
    "complex": _of_parts,
    "div": _divided,
    "exp": _exponential,
    "imag": _of_both(1),
    "polar": _of_angles,
    "pow": _square,
    "real": _of_both(0),
    "square": _square,
    "view_as_complex": _as_complex,
    "view_as_real": _as_real,
}
"""Translations by the names of torch's operators."""
