"""Torch operations of a processor that are done once and recorded, and then done again in the memory that they took.

A step of a small model takes longer to say than to compute: which layer has which rule, what is the gradient of what,
where a result lies. Of all that a recording has the result, a list of operations and their tensors. Made-up hospitals
alone are trained so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_EMPTY = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided"}
# Made of shapes and of numbers that are written in a program.
_CONSTANTS = {
    *("aten::zeros", "aten::zeros_like", "aten::new_zeros", "aten::ones", "aten::ones_like", "aten::new_ones"),
    *("aten::full", "aten::full_like", "aten::new_full", "aten::scalar_tensor", "aten::arange"),
}
_COPIES = {"aten::clone", "aten::_to_copy"}
# Of an operation whose result is not made of its tensors alone, or has a shape that hangs on numbers in them.
_UNFIT = (
    torch.Tag.nondeterministic_seeded,
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
)


@dataclass(frozen=True, eq=False)
class _Done:
    """An operation that was done.

    Attributes:
        operation: As torch dispatched it.
        args: Its arguments.
        kwargs: Likewise.
        results: Its results' tensors, in order; None in the place of one that it did not make.
        constant: Of one of `_CONSTANTS`, what it made, in memory of its own.
    """

    operation: torch._ops.OpOverload
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: list[torch.Tensor | None]
    constant: torch.Tensor | None

    @property
    def given(self) -> list[torch.Tensor]:
        """The tensors among its arguments."""
        return list(_tensors((self.args, tuple(self.kwargs.values()))))

    @property
    def made(self) -> list[torch.Tensor]:
        """The results that there are."""
        return [one for one in self.results if one is not None]

    @property
    def writes(self) -> bool:
        """Whether it changes a tensor that it is given."""
        return self.operation._schema.is_mutable

    @property
    def is_view(self) -> bool:
        """Whether its results are the memory of what it is given, which a recording has as such already."""
        held = {_memory(one) for one in self.given}
        return not self.writes and all(_memory(one) in held for one in self.made)


class Recording:
    """Operations that were done, in a list.

    Attributes:
        found: What was returned, in memory that the next call of `again` overwrites.
        size_bytes: Of all memory that it keeps.
        why_not: Why it cannot be done again; empty where it can.
    """

    def __init__(self, do: Callable[[], Sequence[torch.Tensor]], *, most_bytes: int) -> None:
        """Does what is to be recorded.

        Args:
            do: Reads the same memory each time that it is called, and writes none that it did not make.
            most_bytes: That it may keep.
        """
        record = _Record(most_bytes)
        with record:
            self.found = [one.detach() for one in do()]
        self.size_bytes, self.why_not = record.size_bytes, record.why_not
        self._calls: list[Callable[[], object]] = []
        if not self.why_not:
            self._calls = list(_calls(_needed(record.done, self.found)))

    def again(self) -> list[torch.Tensor]:
        """Does it again, of what the memory holds now, and returns what it finds: `found`."""
        with torch.no_grad():
            for call in self._calls:
                call()
        return self.found


class _Record(TorchDispatchMode):
    """Notes all operations below gradients, those of a backward pass too."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.done: list[_Done] = []
        self.size_bytes, self.why_not = 0, ""
        self._most_bytes = most_bytes
        self._own: set[int] = set()

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
        done = _Done(operation, _held(args), kept, results, constant)
        if any(tag in operation.tags for tag in _UNFIT):
            self._gives_up(f"{operation} is not the same each time")
        elif done.writes and any(_memory(one) not in self._own for one in done.made):
            self._gives_up(f"{operation} writes to memory that was there before")
        elif not done.writes and not done.is_view:
            for one in done.made:
                self._own.add(_memory(one))
                self.size_bytes += one.untyped_storage().nbytes()
        if self.size_bytes > self._most_bytes:
            self._gives_up("it takes too much memory")
        if not self.why_not:
            self.done.append(done)

    def _gives_up(self, why_not: str) -> None:
        """Keeps nothing, and notes nothing more: what is done goes on."""
        self.why_not = why_not
        self.done.clear()


def _needed(done: Sequence[_Done], found: Sequence[torch.Tensor]) -> list[_Done]:
    """Those operations that `found` is made of, in order."""
    needed, kept = {_memory(one) for one in found}, []
    for one in reversed(done):
        if any(_memory(result) in needed for result in one.made):
            needed.update(_memory(given) for given in one.given)
            kept.append(one)
    return kept[::-1]


def _calls(done: Sequence[_Done]) -> Iterator[Callable[[], object]]:
    """What does the operations again, each writing to where its results lie."""
    written = {_memory(result) for one in done if one.writes for result in one.made}
    for one in done:
        name = one.operation._schema.name
        if one.writes:
            yield partial(one.operation, *one.args, **one.kwargs)
        elif one.is_view or name in _EMPTY:
            continue
        elif one.constant is not None:
            if _memory(one.made[0]) in written:
                yield partial(_aten.copy_.default, one.made[0], one.constant)
        elif name in _COPIES:
            yield partial(_aten.copy_.default, one.made[0], one.args[0])
        else:
            yield _into_its_results(one)


def _into_its_results(done: _Done) -> Callable[[], object]:
    """Does an operation again, by its form that writes where it is told, if there is one that makes no copy for it."""
    form = _form_with_out(done.operation)
    if form is not None and len(form[1]) == len(done.made) == len(done.results):
        into = dict(zip(form[1], done.made, strict=True))
        return partial(form[0], *done.args, **done.kwargs, **into)

    def again() -> None:
        found = done.operation(*done.args, **done.kwargs)
        for memory, one in zip(done.results, found if isinstance(found, list | tuple) else [found], strict=True):
            if memory is not None:
                memory.copy_(one)

    return again


@cache
def _form_with_out(operation: torch._ops.OpOverload) -> tuple[torch._ops.OpOverload, list[str]] | None:
    """The same operation with arguments for where to write its results, and their names; None without one."""
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


def _memory(tensor: torch.Tensor) -> int:
    """Which memory a tensor lies in; the recording holds it, so that no other has its number."""
    return tensor.untyped_storage()._cdata
