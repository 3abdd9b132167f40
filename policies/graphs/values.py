"""Values of a graph as the proof knows them: shape, kind of number, and which axis is that of the pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from policies.graphs.limits import MOST_AXES, MOST_OF_AN_AXIS

KINDS = ("float32", "int64", "bool")


class Refusal(ValueError):
    """Why a rule refuses a node. The proof says beside it which node, and where its author wrote it."""


@dataclass(frozen=True)
class Value:
    """What is known of a value for every batch size B at once.

    Attributes:
        shape: Length of each axis. Where an axis is that of the pictures its length is B times the number given
            here, picture by picture: the rows of one picture lie next to each other.
        batch: The axis of the pictures, or None where every picture has the same value.
        kind: One of `KINDS`.
        trained: Whether it depends on a trained parameter.
        ends: Least and greatest number of a constant of whole numbers; None for everything else.
    """

    shape: tuple[int, ...]
    batch: int | None = None
    kind: str = "float32"
    trained: bool = False
    ends: tuple[int, int] | None = None

    @property
    def numbers(self) -> int:
        """Numbers for one picture."""
        return math.prod(self.shape)

    def moved(self, shape: Sequence[int], batch: int | None) -> Value:
        """The same numbers, or some of them, in another shape."""
        return replace(self, shape=tuple(shape), batch=batch)


def result(inputs: Sequence[Value], shape: Sequence[int], batch: int | None) -> Value:
    """A float value that is computed from `inputs`."""
    return Value(tuple(shape), batch, trained=any(value.trained for value in inputs))


def check_size(value: Value, most_numbers: int) -> None:
    """Refuses a value that is too large to be computed.

    Raises:
        Refusal: Too many axes, an axis that is empty or too long, or too many numbers.
    """
    if len(value.shape) > MOST_AXES:
        raise Refusal(f"its value has {len(value.shape)} axes; at most {MOST_AXES} are allowed")
    if not all(1 <= size <= MOST_OF_AN_AXIS for size in value.shape):
        raise Refusal(f"its value would have shape {spelled(value)}; an axis has 1 to {MOST_OF_AN_AXIS:,} numbers")
    if value.numbers > most_numbers:
        raise Refusal(f"its value would have {value.numbers:,} numbers for one picture; the limit is {most_numbers:,}")


def need_floats(*values: Value) -> None:
    """Refuses whole numbers and truth values where numbers are computed with."""
    for value in values:
        if value.kind != "float32":
            raise Refusal(f"it computes with float32, and was given {value.kind}")


def need_axes(value: Value, least: int, most: int = MOST_AXES) -> None:
    """Refuses a value with fewer or more axes than a rule is for."""
    if not least <= len(value.shape) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise Refusal(f"it takes a value of {wanted} axes, and was given one of shape {spelled(value)}")


def need_axis(value: Value, axis: int) -> None:
    """Refuses an axis that the value does not have."""
    if not 0 <= axis < len(value.shape):
        raise Refusal(f"axis {axis} is none of the {len(value.shape)} axes of its value of shape {spelled(value)}")


def keep_apart(value: Value, axes: Sequence[int], does: str) -> None:
    """Refuses what would let pictures meet.

    Args:
        value: What is worked on.
        axes: Along which the operator works.
        does: What the operator does along them, for the refusal.

    Raises:
        Refusal: One of the axes is that of the pictures, is missing, or is named twice.
    """
    if len(set(axes)) != len(axes):
        raise Refusal("it names an axis twice")
    for axis in axes:
        need_axis(value, axis)
        if axis == value.batch:
            raise Refusal(
                f"it {does} over axis {axis}, which is that of the pictures: what one picture's value is would depend "
                "on the others. Work over the other axes only"
            )


def same_for_all(value: Value, what: str) -> None:
    """Refuses a value that differs from picture to picture where the engine takes one for all of them."""
    if value.batch is not None:
        raise Refusal(f"its {what} is computed from the pictures; it must be a parameter or computed from parameters")


def pictures_first(value: Value) -> None:
    """Refuses pictures on another axis than the first, or in several rows each."""
    if value.batch is None:
        raise Refusal("it is given no pictures, only parameters or constants. Give it what is computed from pictures")
    if value.batch != 0 or value.shape[0] != 1:
        raise Refusal(
            f"it takes each picture as one row of the first axis, and was given shape {spelled(value)}. Move parts of "
            "pictures to another axis first"
        )


def broadcast(values: Sequence[Value]) -> tuple[tuple[int, ...], int | None]:
    """Shape and axis of the pictures of values that are combined number by number.

    Raises:
        Refusal: Lengths that do not fit, or pictures that would meet other pictures.
    """
    axes = max(len(value.shape) for value in values)
    missing = [axes - len(value.shape) for value in values]
    batches = {value.batch + more for value, more in zip(values, missing, strict=True) if value.batch is not None}
    if len(batches) > 1:
        raise Refusal(
            "it combines values whose pictures lie on different axes, so that each picture would meet every other. "
            "Bring the pictures to the same axis"
        )
    batch = next(iter(batches), None)
    shape = []
    for axis in range(axes):
        own = [(v, v.shape[axis - more]) for v, more in zip(values, missing, strict=True) if axis >= more]
        if axis == batch:
            parts = {size for value, size in own if value.batch is not None}
            if len(parts) > 1 or any(size != 1 for value, size in own if value.batch is None):
                raise Refusal(
                    f"on axis {axis}, that of the pictures, it combines "
                    + " with ".join(spelled(value) for value in values)
                    + ". A value that is the same for all pictures must have length 1 there"
                )
            shape.append(parts.pop())
            continue
        sizes = {size for _, size in own} - {1}
        if len(sizes) > 1:
            raise Refusal("it combines shapes that do not fit: " + " and ".join(spelled(value) for value in values))
        shape.append(sizes.pop() if sizes else 1)
    return tuple(shape), batch


def spelled(value: Value) -> str:
    """The shape for people, as `(B, 3, 32, 32)`."""
    return spelled_shape(value.shape, value.batch)


def spelled_shape(shape: Sequence[int], batch: int | None) -> str:
    """A shape for people, as `(4B, 49, 96)`."""
    own = [("B" if size == 1 else f"{size}B") if axis == batch else str(size) for axis, size in enumerate(shape)]
    return "(" + ", ".join(own) + ")"
