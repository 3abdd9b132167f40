"""Torch operations of a processor, noted as they are done. Nothing in here is private."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

EMPTY = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided"}
COPIES = {"aten::clone", "aten::_to_copy"}
TOO_MUCH = "it takes too much memory"
# Made of shapes and of numbers that are written in a program.
_CONSTANTS = {
    *("aten::zeros", "aten::zeros_like", "aten::new_zeros", "aten::ones", "aten::ones_like", "aten::new_ones"),
    *("aten::full", "aten::full_like", "aten::new_full", "aten::scalar_tensor", "aten::arange"),
}
# Of an operation whose result is not made of its tensors alone, or has a shape that hangs on numbers in them.
_UNFIT = (
    torch.Tag.nondeterministic_seeded,
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
)


@dataclass(frozen=True, eq=False)
class Done:
    """An operation that was done.

    Attributes:
        operation: As torch dispatched it.
        args: Its arguments.
        kwargs: Likewise.
        results: Its results' tensors, in order; None in the place of one that it did not make.
        constant: Of one of `_CONSTANTS`, what it made, in memory of its own.
    """

    operation: torch._ops.OpOverload
    args: list[Any]
    kwargs: Mapping[str, Any]
    results: list[torch.Tensor | None]
    constant: torch.Tensor | None

    @property
    def given(self) -> list[torch.Tensor]:
        """The tensors among its arguments, of any shape."""
        return list(_tensors((self.args, tuple(self.kwargs.values()))))

    @property
    def made(self) -> list[torch.Tensor]:
        """The results that there are, of any shape."""
        return [one for one in self.results if one is not None]

    @property
    def writes(self) -> bool:
        """Whether it changes a tensor that it is given."""
        return self.operation._schema.is_mutable

    @property
    def is_view(self) -> bool:
        """Whether its results are the memory of what it is given, which a recording has as such already."""
        held = {memory_of(one) for one in self.given}
        return not self.writes and all(memory_of(one) in held for one in self.made)


class Record(TorchDispatchMode):
    """Notes all operations below gradients, those of a backward pass too."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.done: list[Done] = []
        self.size_bytes, self.why_not = 0, ""
        self._most_bytes = most_bytes
        self._own: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch's compiler is imported, which takes as long as torch, to be told to leave this alone."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not self.why_not:
            self._note(func, args, kwargs or {}, found)
        return found

    def _note(
        self, operation: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any], found: Any
    ) -> None:
        results = [_held(one) for one in (found if isinstance(found, list | tuple) else [found])]
        is_constant = operation._schema.name in _CONSTANTS
        constant = results[0].clone() if is_constant else None
        kept = {name: _held(value) for name, value in kwargs.items()}
        done = Done(operation, _held(args), kept, results, constant)
        if any(tag in operation.tags for tag in _UNFIT):
            self._gives_up(f"{operation} is not the same each time")
        elif done.writes and any(memory_of(one) not in self._own for one in done.made):
            self._gives_up(f"{operation} writes to memory that was there before")
        elif not done.writes and not done.is_view:
            for one in done.made:
                self._own.add(memory_of(one))
                self.size_bytes += one.untyped_storage().nbytes()
        if self.size_bytes > self._most_bytes:
            self._gives_up(TOO_MUCH)
        if not self.why_not:
            self.done.append(done)

    def _gives_up(self, why_not: str) -> None:
        """Keeps nothing, and notes nothing more: what is done goes on."""
        self.why_not = why_not
        self.done.clear()


def needed(done: Sequence[Done], found: Sequence[torch.Tensor]) -> list[Done]:
    """Those operations that `found`, of any shape, is made of, in order."""
    wanted, kept = {memory_of(one) for one in found}, list[Done]()
    for one in reversed(done):
        if any(memory_of(result) in wanted for result in one.made):
            wanted.update(memory_of(given) for given in one.given)
            kept.append(one)
    return kept[::-1]


def _held(value: Any) -> Any:
    """A value with its tensors as memory alone, without a gradient's history."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, list | tuple):
        return [_held(one) for one in value]
    return value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def memory_of(tensor: torch.Tensor) -> int:
    """Which memory a tensor of any shape lies in; the recording holds it, so that no other has its number."""
    return tensor.untyped_storage()._cdata


def form_with_out(done: Done) -> tuple[torch._ops.OpOverload, list[str]] | None:
    """The same operation with arguments for where to write its results, and their names; None without one."""
    form = _form_of(done.operation)
    return form if form is not None and len(form[1]) == len(done.made) == len(done.results) else None


def makes_its_memory(done: Done) -> bool:
    """Whether an operation can be done in new memory alone."""
    known = done.constant is not None or done.operation._schema.name in EMPTY | COPIES
    return not (done.writes or done.is_view or known) and form_with_out(done) is None


@cache
def _form_of(operation: torch._ops.OpOverload) -> tuple[torch._ops.OpOverload, list[str]] | None:
    packet, wanted = operation.overloadpacket, _named(operation._schema.arguments)
    for name in packet.overloads():
        form = getattr(packet, name)
        into = [argument.name for argument in form._schema.arguments if argument.is_out]
        others = _named([argument for argument in form._schema.arguments if not argument.is_out])
        if into and others == wanted and torch.Tag.generated not in form.tags:
            return form, into
    return None


def _named(arguments: Sequence[Any]) -> list[tuple[str, str]]:
    return [(argument.name, str(argument.type)) for argument in arguments]
