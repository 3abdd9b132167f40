"""One traced operator as its translation sees it: arguments by name, and the shape of the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from researcher.captures.writer import Operand, Ref, Writer

Like = tuple[list[int], int | None]


class Untranslatable(ValueError):
    """Why an operator cannot be translated as it is used here."""


@dataclass(frozen=True)
class Repeated:
    """A constant that is the same for each picture: of a traced value with an axis of the pictures, one picture's part.

    Attributes:
        one: Of k rows for each picture, with length k on the axis of the pictures.
        batch: The axis of the pictures.
    """

    one: torch.Tensor
    batch: int


@dataclass(frozen=True)
class Untold:
    """What an operator gives beside its value, and no graph can hold. Left alone it does no harm.

    Attributes:
        why: What is said where something is made of it.
    """

    why: str


class Later:
    """What an operator gives beside its value, written down where something is made of it.

    Args:
        make: Writes it down.
    """

    def __init__(self, make: Callable[[], Ref]) -> None:
        self._make = make
        self._found: Ref | None = None

    def made(self) -> Ref:
        """The value, the same each time."""
        if self._found is None:
            self._found = self._make()
        return self._found


WHERE_THE_LARGEST_IS = "it is made of where the largest or smallest number is, which has no gradient. Use the number"


class Call:
    """An operator that was called.

    Args:
        writer: Takes the nodes.
        arguments: By the names of torch's schema.
        like: Shape of the result and its axis of the pictures, where it is one value.
        parts: The same of each result, where there are several.
        dtype: Of the result in torch, where it is one value.
    """

    def __init__(
        self,
        writer: Writer,
        arguments: Mapping[str, Operand],
        like: Like | None,
        parts: Sequence[Like] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.writer = writer
        self.arguments = arguments
        self.parts = parts
        self.dtype = dtype
        self._like = like

    @property
    def like(self) -> Like:
        """Shape of the result."""
        if self._like is None:
            raise Untranslatable("it gives several values")
        return self._like

    def plain(self, name: str) -> Any:
        """A setting; the batch size is none."""
        value = self.arguments[name]
        entries = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(one, torch.SymInt | torch.SymFloat | torch.SymBool) for one in entries):
            raise Untranslatable("it computes with the batch size. Use means over the axes of a picture instead")
        if any(isinstance(one, Ref | torch.Tensor) for one in entries):
            raise Untranslatable("one of its settings is computed from a value. Use a plain number")
        return value

    def value(self, name: str) -> Ref:
        """A value, as nodes read it."""
        given = self.arguments[name]
        if not isinstance(given, Ref | torch.Tensor):
            raise Untranslatable(f"its {name} is no value")
        return self.writer.read(given)

    def floats(self, name: str) -> Operand:
        """A value to compute with; a constant of whole numbers becomes one of float32."""
        given = self.arguments[name]
        return given.to(torch.float32) if isinstance(given, torch.Tensor) else self.value(name)

    def add(self, operator: str, *inputs: Operand, like: Like | None = None, **settings: Any) -> Ref:
        """Adds a node, of the result's shape unless another is said."""
        return self.writer.add(operator, inputs, self.like if like is None else like, **settings)

    def affine(self, value: Operand, factor: float, offset: float, like: Like | None = None) -> Ref:
        """factor x + offset."""
        return self.add("affine", value, like=like, factor=float(factor), offset=float(offset))

    def axis(self, number: int, ref: Ref) -> int:
        """An axis counted from the front."""
        return number % len(ref.shape)

    def axes(self, numbers: Any, ref: Ref) -> list[int]:
        """Axes counted from the front; all of them where none is said."""
        if numbers is None or numbers == []:
            return list(range(len(ref.shape)))
        return [self.axis(one, ref) for one in ([numbers] if isinstance(numbers, int) else numbers)]


def shape_of(ref: Ref) -> Like:
    """A value's shape, for a node that keeps it."""
    return list(ref.shape), ref.batch


def pair(value: Any) -> list[int]:
    """Two numbers, where torch takes one for both."""
    return [value, value] if isinstance(value, int) else list(value) * (2 // len(value))


Translate = Callable[[Call], Operand]
