"""Small matrices taken apart: inverses, solutions, determinants and Cholesky factors, column by column.

Every step is the same whatever the numbers are: where the largest of a column stands is a comparison, and a choice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from researcher.captures.chosen.ranked import shaped
from researcher.captures.composed.compared import compared
from researcher.captures.translated import Call, Like, Translate, Untranslatable
from researcher.captures.writer import Operand, Ref

MOST_ROWS = 32
_APART = (
    "its matrices are not of one picture each. Let the last two axes be rows and columns, and the pictures before them"
)


def _matrix(call: Call, name: str) -> Ref:
    value = call.writer.read(call.floats(name))
    rows, columns = value.shape[-2:] if len(value.shape) > 1 else (0, 1)
    if rows != columns or (value.batch is not None and value.batch >= len(value.shape) - 2):
        raise Untranslatable(_APART)
    if rows > MOST_ROWS:
        raise Untranslatable(
            f"it takes matrices of {rows} rows apart, column by column; up to {MOST_ROWS} have room. Project to fewer "
            "numbers before, or use products of matrices"
        )
    return value


class _Rows:
    """Matrices, (..., rows, columns), of which each step makes new ones."""

    def __init__(self, call: Call, value: Ref) -> None:
        self.call, self.value = call, value
        self.rows, self.columns = value.shape[-2:]
        self.lead = list(value.shape[:-2])

    def of(self, rows: int, columns: int) -> Like:
        """The shape of a part."""
        return [*self.lead, rows, columns], self.value.batch

    def part(self, value: Ref, *, row: int | None = None, column: int | None = None) -> Ref:
        """A row of a value, or a column, or one number."""
        for place, number in ((-2, row), (-1, column)):
            if number is not None and value.shape[place] != 1:
                axis = len(value.shape) + place
                shape = [1 if one == axis else size for one, size in enumerate(value.shape)]
                settings = {"axis": axis, "start": number, "stop": number + 1, "step": 1}
                value = self.call.add("slice", value, like=(shape, value.batch), **settings)
        return value

    def put(self, row: int, new: Ref, others: Ref) -> Ref:
        """A value's rows, with a new one in one place."""
        at = (torch.arange(self.rows) == row)[:, None]
        return self.call.add("where", at, new, others, like=self.of(self.rows, others.shape[-1]))

    def less(self, value: Ref, column: Ref, row: Ref) -> Ref:
        """A value without the product of a column and a row."""
        like = self.of(self.rows, value.shape[-1])
        return self.call.add("subtract", value, self.call.add("multiply", column, row, like=like), like=like)


def _reduced(call: Call, value: Ref, count: int) -> tuple[Ref, list[Ref]]:
    """The first columns of (..., n, m) made those of the identity, by the largest number of each as its pivot.

    Returns:
        The matrix then, and the pivots, (..., 1, 1), the odd ones of exchanged rows with the other sign.
    """
    of, signed = _Rows(call, value), []
    for step in range(count):
        column = of.part(value, column=step)
        size = call.add("absolute", column, like=of.of(count, 1))
        left = call.add("where", (torch.arange(count) >= step)[:, None], size, torch.tensor(-1.0), like=of.of(count, 1))
        largest = call.add("largest", left, like=of.of(1, 1), axes=[len(value.shape) - 2], keep=True)
        hit = compared(call, left, largest, "equal", of.of(count, 1))
        before = call.add("cumulative_sum", hit, like=of.of(count, 1), axis=len(value.shape) - 2)
        first = compared(call, before, torch.ones(()), "equal", of.of(count, 1))
        at = call.add("multiply", hit, first, like=of.of(count, 1))  # the first of equal ones
        picked = call.add("choose", at, value, torch.zeros(()), like=of.of(count, of.columns))
        row = call.add("sum", picked, like=of.of(1, of.columns), axes=[len(value.shape) - 2], keep=True)
        value = call.add("choose", at, of.part(value, row=step), value, like=of.of(count, of.columns))
        pivot = of.part(row, column=step)
        kept = call.affine(of.part(at, row=step), 2, -1, like=of.of(1, 1))
        signed.append(call.add("multiply", pivot, kept, like=of.of(1, 1)))
        row = call.add("divide", row, pivot, like=of.of(1, of.columns))
        value = of.put(step, row, of.less(value, of.part(value, column=step), row))
    return value, signed


def _solved(call: Call, value: Ref, right: Operand) -> Ref:
    """What a matrix times it gives the right side, (..., n, m)."""
    count, given = value.shape[-1], call.writer.read(right)
    lead, batch = _together(value, given)
    both = []
    for one in (value, given):
        wanted: Like = [*lead, *one.shape[-2:]], batch
        spelled_out = [["B", size] if axis == batch else size for axis, size in enumerate(wanted[0])]
        alike = (list(one.shape), one.batch) == wanted
        both.append(one if alike else call.add("expand", one, like=wanted, shape=spelled_out))
    width = given.shape[-1]
    like: Like = [*lead, count, count + width], batch
    joined = call.add("concatenate", *both, like=like, axis=len(lead) + 1)
    found, _ = _reduced(call, joined, count)
    settings = {"axis": len(lead) + 1, "start": count, "stop": count + width, "step": 1}
    return call.add("slice", found, like=([*lead, count, width], batch), **settings)


def _together(first: Ref, second: Ref) -> Like:
    """Axes before the last two, of both."""
    axes = max(len(first.shape), len(second.shape)) - 2
    own = [[1] * (axes + 2 - len(one.shape)) + list(one.shape[:-2]) for one in (first, second)]
    places = {one.batch + axes + 2 - len(one.shape) for one in (first, second) if one.batch is not None}
    if len(places) > 1 or any(place >= axes for place in places):
        raise Untranslatable(_APART)
    return [max(sizes) for sizes in zip(*own, strict=True)], next(iter(places), None)


def _inverse(name: str) -> Translate:
    def translate(call: Call) -> Ref:
        value = _matrix(call, name)
        return _solved(call, value, torch.eye(value.shape[-1]))

    return translate


def _solution(call: Call) -> Ref:
    if not call.arguments.get("left", True):
        raise Untranslatable("it solves from the right. Turn both sides round, with .mT, and solve from the left")
    value, right = _matrix(call, "A"), call.writer.read(call.floats("B"))
    vector = len(right.shape) == 1 or list(right.shape) == list(value.shape[:-1])
    if vector:
        right = shaped(call, right, [*right.shape, 1], right.batch)
    found = _solved(call, value, right)
    return shaped(call, found, *call.like)


def _determinant(name: str, told: Callable[[Call, list[Ref]], Operand]) -> Translate:
    """Of the pivots, each a number of a matrix."""

    def translate(call: Call) -> Operand:
        value = _matrix(call, name)
        _, pivots = _reduced(call, value, value.shape[-1])
        return told(call, [shaped(call, one, value.shape[:-2], value.batch) for one in pivots])

    return translate


def _product(call: Call, pivots: list[Ref]) -> Ref:
    found = pivots[0]
    for one in pivots[1:]:
        found = call.add("multiply", found, one, like=(list(one.shape), one.batch))
    return found


def _signs(call: Call, pivots: list[Ref]) -> Ref:
    """Minus one for each pivot below 0."""
    like: Like = list(pivots[0].shape), pivots[0].batch
    none = torch.zeros(())
    signs = []
    for one in pivots:
        above, below = compared(call, one, none, "greater", like), compared(call, none, one, "greater", like)
        signs.append(call.add("subtract", above, below, like=like))
    return _product(call, signs)


def _logarithm(call: Call, pivots: list[Ref]) -> Ref:
    """The sum of the logarithms of the pivots' sizes, which is that of the determinant's."""
    like: Like = list(pivots[0].shape), pivots[0].batch
    logarithms = [call.add("logarithm", call.add("absolute", one, like=like), like=like) for one in pivots]
    found = logarithms[0]
    for one in logarithms[1:]:
        found = call.add("add", found, one, like=like)
    return found


def _signed_logarithm(call: Call, pivots: list[Ref]) -> Ref:
    """No number where the determinant is below 0, as torch has it."""
    like: Like = list(pivots[0].shape), pivots[0].batch
    root = call.add("logarithm", _signs(call, pivots), like=like)
    return call.add("add", _logarithm(call, pivots), root, like=like)


def _factor(name: str) -> Translate:
    """The lower triangle whose product with itself, turned, is the matrix; torch reads the matrix's lower one too."""

    def translate(call: Call) -> Ref:
        rest = _matrix(call, name)
        of, columns, rows = _Rows(call, rest), [], rest.shape[-1]
        for step in range(rows):
            column = of.part(rest, column=step)
            root = call.add("square_root", of.part(column, row=step), like=of.of(1, 1))
            quotient = call.add("divide", column, root, like=of.of(rows, 1))
            below = (torch.arange(rows) >= step)[:, None]
            columns.append(call.add("where", below, quotient, torch.zeros(()), like=of.of(rows, 1)))
            if step + 1 < rows:
                rest = of.less(rest, columns[-1], shaped(call, columns[-1], [*of.lead, 1, rows], rest.batch))
        found = call.add("concatenate", *columns, like=of.of(rows, rows), axis=len(of.lead) + 1)
        if call.arguments.get("upper"):
            lead = len(of.lead)
            return call.add("permute", found, like=of.of(rows, rows), axes=[*range(lead), lead + 1, lead])
        return found

    return translate


def _by_triangle(call: Call) -> Ref:
    """Row by row, from the top where a triangle is a lower one."""
    if not call.plain("left"):
        raise Untranslatable("it solves from the right. Turn both sides round, with .mT, and solve from the left")
    value, right = _matrix(call, "self"), call.writer.read(call.floats("B"))
    (lead, batch), count, width = _together(value, right), value.shape[-1], right.shape[-1]
    of = _Rows(call, Ref("", [*lead, count, width], batch))
    order = range(count - 1, -1, -1) if call.plain("upper") else range(count)
    rest: Ref = right
    found: dict[int, Ref] = {}
    for step in order:
        row, pivot = of.part(rest, row=step), of.part(of.part(value, column=step), row=step)
        like: Like = [*lead, 1, width], batch
        if not call.plain("unitriangular"):
            row = call.add("divide", row, pivot, like=like)
        found[step] = row
        rest = of.less(rest, of.part(value, column=step), row)
    parts = [_wide(call, found[step], ([*lead, 1, width], batch)) for step in range(count)]
    return call.add("concatenate", *parts, like=([*lead, count, width], batch), axis=len(lead))


def _wide(call: Call, value: Ref, like: Like) -> Ref:
    if (list(value.shape), value.batch) == like:
        return value
    return call.add(
        "expand", value, like=like, shape=[["B", n] if axis == like[1] else n for axis, n in enumerate(like[0])]
    )


MATRICES: dict[str, Translate] = {
    "cholesky": _factor("self"),
    "det": _determinant("self", _product),
    "inverse": _inverse("self"),
    "linalg_cholesky": _factor("self"),
    "linalg_det": _determinant("A", _product),
    "linalg_inv": _inverse("A"),
    "linalg_slogdet": _determinant("A", lambda call, pivots: [_signs(call, pivots), _logarithm(call, pivots)]),
    "linalg_solve": _solution,
    "linalg_solve_triangular": _by_triangle,
    "logdet": _determinant("self", _signed_logarithm),
    "slogdet": _determinant("self", lambda call, pivots: [_signs(call, pivots), _logarithm(call, pivots)]),
}
"""Translations by the names of torch's operators."""
