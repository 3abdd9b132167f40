"""Products over named axes, written as linear layers and products of matrices: einsum, tensordot, vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from researcher.captures.number_translations import length
from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref, spelled

_RULE = "only products of one or two values over different letters have a rule. Use matmul"
_FIRST_UNUSED = 0x3B1  # letters for the axes that `...` stands for, which no equation can name


def _einsum(call: Call) -> Ref:
    """A product of two values, or sums and turns of one."""
    values = [call.writer.read(one) for one in call.arguments["tensors"]]
    if len(values) > 2:
        raise Untranslatable("it multiplies more than two values at once. Multiply two at a time")
    parts, out = _letters(call.plain("equation").replace(" ", ""), values)
    sizes: dict[str, int] = {}
    for letters, value in zip(parts, values, strict=True):
        if len({*letters}) != len(letters) or len(letters) != len(value.shape):
            raise Untranslatable(_RULE)
        for letter, size in zip(letters, value.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise Untranslatable("it repeats an axis of length 1. Expand it before")
    if not {*out} <= {*sizes} or len({*out}) != len(out):
        raise Untranslatable(_RULE)
    if len(values) == 1:
        only, letters = _summed(call, values[0], parts[0], out)
        return _ordered(call, only, letters, out)
    return _product(call, values, parts, out)


def _letters(equation: str, values: Sequence[Ref]) -> tuple[list[str], str]:
    """The letters of each value's axes, and of the result's; `...` is spelled out."""
    left, arrow, out = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(values):
        raise Untranslatable(_RULE)
    hidden = max(len(value.shape) - len(part.replace("...", "")) for part, value in zip(parts, values, strict=True))
    dots = "".join(chr(_FIRST_UNUSED + number) for number in range(max(0, hidden)))
    if not arrow:
        once = sorted(letter for letter in {*left} - {*",."} if left.count(letter) == 1)
        out = ("..." if "..." in left else "") + "".join(once)
    spelled_out = []
    for part, value in zip(parts, values, strict=True):
        own = len(value.shape) - len(part.replace("...", ""))
        spelled_out.append(part.replace("...", dots[len(dots) - own :] if own > 0 else ""))
    return spelled_out, out.replace("...", dots)


def _product(call: Call, values: Sequence[Ref], parts: Sequence[str], out: str) -> Ref:
    """The product of two values over the letters that both have and the result lacks."""
    (first, left), (second, right) = (
        _summed(call, value, own, out + other) for value, own, other in zip(values, parts, reversed(parts), strict=True)
    )
    if first.batch is None and second.batch is not None:
        first, left, second, right = second, right, first, left
    pictures = "" if first.batch is None else left[first.batch]
    if second.batch is not None and right[second.batch] != pictures:
        raise Untranslatable(
            "it multiplies every picture of one value with every picture of the other. Name the pictures' axis by the "
            "same letter in both, and in the result"
        )
    if pictures not in out:
        raise Untranslatable("it sums over the pictures. Keep their letter in the result")
    sizes = {**dict(zip(right, second.shape, strict=True)), **dict(zip(left, first.shape, strict=True))}
    both = [letter for letter in left if letter in right and letter in out]
    over = [letter for letter in left if letter in right and letter not in out]
    rows, columns = ([k for k in own if k not in other] for own, other in ((left, right), (right, left)))
    if pictures and second.batch is None and not both:
        made = _layer(call, (first, left), (second, right), [pictures, *(k for k in rows if k != pictures)], over)
    else:
        if pictures:  # before all others
            both = [pictures, *(k for k in both if k != pictures)]
            rows = [k for k in rows if k != pictures]
        one = _merged(call, _ordered(call, first, left, [*both, *rows, *over]), len(both), len(rows))
        lead = [k for k in both if k in right]
        other = _merged(call, _ordered(call, second, right, [*lead, *over, *columns]), len(lead), len(over))
        shape = [*(sizes[k] for k in both), one.shape[-2], other.shape[-1]]
        made = call.add("matmul", one, other, like=(shape, 0 if pictures else None))
    letters = "".join([pictures, *(k for k in rows if k != pictures)] if pictures and not both else [*both, *rows])
    letters += "".join(columns)
    return _ordered(call, _shaped(call, made, [sizes[k] for k in letters], bool(pictures)), letters, out)


def _layer(
    call: Call, value: tuple[Ref, str], weight: tuple[Ref, str], rows: Sequence[str], over: Sequence[str]
) -> Ref:
    """A linear layer: what is summed over as one axis, and what else the weight has as its outputs."""
    columns = [letter for letter in weight[1] if letter not in over]
    features = _ordered(call, *value, [*rows, *over])
    kept = list(features.shape[: len(rows)])
    features = _shaped(call, features, [*kept, math.prod(features.shape[len(rows) :])], True)
    table = _ordered(call, *weight, [*columns, *over])
    outputs = math.prod(table.shape[: len(columns)])
    table = _shaped(call, table, [outputs, math.prod(table.shape[len(columns) :])], False)
    return call.add("linear", features, table, like=([*kept, outputs], 0))


def _summed(call: Call, value: Ref, letters: str, wanted: str) -> tuple[Ref, str]:
    """The sum over the axes that nothing else names."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in wanted]
    if not axes:
        return value, letters
    if value.batch in axes:
        raise Untranslatable("it sums over the pictures. Keep their letter in the result")
    kept = [axis for axis in range(len(letters)) if axis not in axes]
    like = [value.shape[axis] for axis in kept], None if value.batch is None else kept.index(value.batch)
    return call.add("sum", value, like=like, axes=axes, keep=False), "".join(letters[axis] for axis in kept)


def _merged(call: Call, value: Ref, lead: int, rows: int) -> Ref:
    """Matrices: the axes after the leading ones as one axis of rows and one of columns."""
    shape = list(value.shape)
    own = [math.prod(shape[lead : lead + rows]), math.prod(shape[lead + rows :])]
    return _shaped(call, value, [*shape[:lead], *own], value.batch is not None)


def _shaped(call: Call, value: Ref, shape: Sequence[int], with_pictures: bool) -> Ref:
    """Another shape, the pictures on the first axis where there are any."""
    like = list(shape), 0 if with_pictures else None
    return value if shape_of(value) == like else call.add("reshape", value, like=like, shape=spelled(*like))


def _ordered(call: Call, value: Ref, letters: str, wanted: Sequence[str]) -> Ref:
    axes = [letters.index(letter) for letter in wanted]
    if axes == list(range(len(axes))):
        return value
    shape, batch = shape_of(value)
    like = [shape[axis] for axis in axes], None if batch is None else axes.index(batch)
    return call.add("permute", value, like=like, axes=axes)


def _matmul(call: Call) -> Ref:
    left, right = call.value("self"), call.value(_other(call.arguments))
    return _multiplied(call, left, right)


def _multiplied(call: Call, left: Ref, right: Ref) -> Ref:
    if len(right.shape) == 1 or len(left.shape) == 1:
        rows = "ijklmnop"[: len(left.shape) - 1]
        columns = "qrstuvwx"[: len(right.shape) - 1]
        parts = rows + "z", columns[:-1] + "z" + columns[-1:]
        return _product(call, (left, right), parts, rows + columns)
    if left.batch is not None and right.batch is None and len(right.shape) == 2:
        turned = call.add("permute", right, like=([right.shape[1], right.shape[0]], None), axes=[1, 0])
        shape = [*left.shape[:-1], right.shape[1]]
        return call.add("linear", left, turned, like=(shape, left.batch))
    return call.add("matmul", left, right)


def _added(call: Call) -> Ref:
    """beta self + alpha (one other), in torch's order of arguments."""
    names = [name for name in call.arguments if name not in ("self", "beta", "alpha")]
    product = _multiplied(call, *(call.value(name) for name in names))
    if call.plain("alpha") != 1:
        product = call.affine(product, call.plain("alpha"), 0)
    if call.plain("beta") == 0:
        return product
    added = call.floats("self")
    if call.plain("beta") != 1:
        added = call.affine(added, call.plain("beta"), 0, like=shape_of(call.writer.read(added)))
    return call.add("add", product, added)


def _tensordot(call: Call) -> Ref:
    first, second = call.value("self"), call.value("other")
    own, others = (call.axes(call.plain(name), value) for name, value in (("dims_self", first), ("dims_other", second)))
    left = [chr(_FIRST_UNUSED + axis) for axis in range(len(first.shape))]
    right = [chr(_FIRST_UNUSED + 20 + axis) for axis in range(len(second.shape))]
    for one, other in zip(own, others, strict=True):
        right[other] = left[one]
    out = [k for k in left if k not in right] + [k for k in right if k not in left]
    return _product(call, (first, second), ("".join(left), "".join(right)), "".join(out))


def _other(arguments: Mapping[str, Operand]) -> str:
    return next(name for name in ("other", "mat2", "vec", "tensor") if name in arguments)


def _bilinear(call: Call) -> Ref:
    """Of each output a sum over the products of every number of one value with every number of the other."""
    first, second, weight = call.value("input1"), call.value("input2"), call.value("weight")
    outputs, ours, theirs = weight.shape
    turned = call.add("permute", weight, like=([outputs, theirs, ours], None), axes=[0, 2, 1])
    rows = [outputs * theirs, ours]
    turned = call.add("reshape", turned, like=(rows, None), shape=rows)
    made = call.add("linear", first, turned, like=([*first.shape[:-1], outputs * theirs], first.batch))
    wide: Like = [*first.shape[:-1], outputs, theirs], first.batch
    made = call.add("reshape", made, like=wide, shape=spelled(*wide))
    beside: Like = [*second.shape[:-1], 1, theirs], second.batch
    product = call.add("multiply", made, call.add("reshape", second, like=beside, shape=spelled(*beside)), like=wide)
    found = call.add("sum", product, axes=[len(wide[0]) - 1], keep=False)
    return found if call.arguments["bias"] is None else call.add("add", found, call.value("bias"))


def _products_so_far(call: Call) -> Ref:
    return joined_so_far(call, call.value("self"), 1.0, lambda one, before: call.add("multiply", one, before))


def joined_so_far(call: Call, value: Ref, none: float, join: Callable[[Ref, Ref], Ref]) -> Ref:
    """What an axis holds so far, joined: each with what stands 1 before it, then 2, 4, ...

    Args:
        call: Whose `dim` it is.
        value: Of any shape.
        none: A number that changes nothing.
        join: Two values of that shape.
    """
    axis, step = _own_axis(call, value), 1
    size, like = value.shape[axis], shape_of(value)
    while step < size:
        part = [size - step if number == axis else own for number, own in enumerate(value.shape)]
        before = call.add("slice", value, like=(part, value.batch), axis=axis, start=0, stop=size - step, step=1)
        sides = [step if number == axis else 0 for number in range(len(value.shape))]
        shifted = call.add("pad", before, like=like, before=sides, after=[0] * len(sides), number=none)
        value, step = join(value, shifted), 2 * step
    return value


def _product_of_all(call: Call) -> Ref:
    """Of all numbers along an axis: one half times the other, again and again."""
    value = call.value("self")
    axis = _own_axis(call, value)
    while (size := value.shape[axis]) > 1:
        half = size // 2
        like: Like = [half if number == axis else own for number, own in enumerate(value.shape)], value.batch
        halves = [
            call.add("slice", value, like=like, axis=axis, start=start, stop=start + half, step=1)
            for start in (0, half)
        ]
        made = call.add("multiply", *halves, like=like)
        if size % 2:
            one = [1 if number == axis else own for number, own in enumerate(value.shape)], value.batch
            rest = call.add("slice", value, like=one, axis=axis, start=size - 1, stop=size, step=1)
            both = [half + 1 if number == axis else own for number, own in enumerate(value.shape)], value.batch
            made = call.add("concatenate", made, rest, like=both, axis=axis)
        value = made
    return value if shape_of(value) == call.like else call.add("reshape", value, shape=spelled(*call.like))


def _own_axis(call: Call, value: Ref) -> int:
    if call.arguments.get("dim") is None or call.axis(call.plain("dim"), value) == value.batch:
        raise Untranslatable("it multiplies numbers of different pictures. Name an axis of a picture, as dim=1")
    return call.axis(call.plain("dim"), value)


def _outer(call: Call) -> Ref:
    first, second = call.value("self"), call.value("vec2")
    return _product(call, (first, second), ("i", "j"), "ij")


def _distances(call: Call) -> Ref:
    """Of every row of one value from every row of the other."""
    first, second = call.value("x1"), call.value("x2")
    ours: Like = [*first.shape[:-1], 1, first.shape[-1]], first.batch
    theirs: Like = [*second.shape[:-2], 1, *second.shape[-2:]], second.batch
    both = first.batch is not None and second.batch is not None
    if both and (second.batch == len(second.shape) - 2 or first.batch == len(first.shape) - 2):
        raise Untranslatable("it measures from every picture to every other. Keep the pictures an axis before the rows")
    rows = [
        call.add("reshape", one, like=like, shape=spelled(*like)) for one, like in ((first, ours), (second, theirs))
    ]
    shape, batch = call.like
    wide: Like = [*shape, first.shape[-1]], batch
    apart = call.add("subtract", *rows, like=wide)
    return length(call, apart, [len(shape)], float(call.plain("p")), keep=False)


def _distance(call: Call) -> Ref:
    """Between rows, of a little more than their difference, as torch has it."""
    first, second = call.value("x1"), call.value("x2")
    like: Like = [*max(first.shape, second.shape, key=len)], first.batch
    if first.shape != second.shape or first.batch != second.batch:
        raise Untranslatable("it brings values to a common shape. Let them have the same shape before")
    apart = call.affine(call.add("subtract", first, second, like=like), 1, call.plain("eps"), like=like)
    return length(call, apart, [len(like[0]) - 1], float(call.plain("p")), keep=bool(call.plain("keepdim")))


PRODUCTS: dict[str, Translate] = {
    "addmm": _added,
    "baddbmm": _added,
    "bilinear": _bilinear,
    "bmm": _matmul,
    "cdist": _distances,
    "cumprod": _products_so_far,
    "einsum": _einsum,
    "matmul": _matmul,
    "mm": _matmul,
    "mv": _matmul,
    "outer": _outer,
    "pairwise_distance": _distance,
    "prod": _product_of_all,
    "tensordot": _tensordot,
}
"""Translations by the names of torch's operators."""
