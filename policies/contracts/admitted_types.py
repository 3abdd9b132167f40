"""The list of types that a message between the two sides may build. All else is refused before a byte of it is read.

PySyft's parser builds any type that its registry knows, before it asks who sent the message. Each side therefore
wraps it with a list of names: this module holds the rule, `datasites/pysyft/deserialiser.py` and
`researcher/hospitals/deserialiser.py` the two lists' use. What a list does not name is not built.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from policies.errors import MessageRefused

# A legitimate message is nested less deeply; each level may hold at most all the bytes of the one above.
MAX_DEPTH = 24
_SHARED = "NoneType bool bytes dict float int list set str tuple"


@dataclass(frozen=True)
class Admitted:
    """Names, as the parser's registry spells them.

    Attributes:
        built: Types of which a message may hold values, in version 1.
        named: Types that a message may name, each as `name:version`; none of them is built for it.
    """

    built: frozenset[str]
    named: frozenset[str]

    @classmethod
    def of(cls, built: str, named: str) -> Admitted:
        """Reads both as words; plain Python values and the names of their types are always admitted."""
        spelled = (name if ":" in name else f"{name}:1" for name in f"{_SHARED} {named}".split())
        return cls(frozenset(f"{_SHARED} {built}".split()), frozenset(spelled))


class Parser:
    """The two steps of PySyft's parser, bytes to message and message to value, each behind the list.

    Guarantees:
        `build` runs only for messages of an admitted type in version 1 whose fields the type declares. Over one
        outermost message at most `MAX_DEPTH` times its own bytes are read, at most `MAX_DEPTH` levels deep.

    Args:
        default: What is admitted outside `only`.
        read: Opens bytes as a message.
        build: Makes a message's value.
        declared: The fields of a type, by name; None where the type reads its bytes itself.
    """

    def __init__(
        self,
        default: Admitted,
        *,
        read: Callable[[bytes], Any],
        build: Callable[[Any], Any],
        declared: Callable[[str], Collection[str] | None],
    ) -> None:
        self._default = default
        self._read, self._build, self._declared = read, build, declared
        self._here = threading.local()  # of one thread: the list that holds, how deep its message is, what may be read

    @contextmanager
    def only(self, admitted: Admitted | None) -> Iterator[None]:
        """Inside, in this thread, that list holds; None admits whatever the registry knows."""
        before = self._admitted
        self._here.admitted = admitted
        try:
            yield
        finally:
            self._here.admitted = before

    @property
    def _admitted(self) -> Admitted | None:
        found: Admitted | None = getattr(self._here, "admitted", self._default)
        return found

    def from_bytes(self, blob: bytes) -> Any:
        """The value that the bytes stand for.

        Raises:
            MessageRefused: A type that is not admitted, a field that its type does not have, too deep, too much.
        """
        state = self._here
        depth = getattr(state, "depth", 0)
        if depth == 0:
            state.left = len(blob) * MAX_DEPTH
        state.left -= len(blob)
        if depth >= MAX_DEPTH or state.left < 0:
            raise MessageRefused("The message is nested more deeply than any of the platform's own.")
        state.depth = depth + 1
        try:
            with self._read(blob) as message:
                return self.from_message(message)
        finally:
            state.depth = depth

    def from_message(self, message: Any) -> Any:
        """The value that a message stands for; raises as `from_bytes` does."""
        admitted = self._admitted
        if admitted is not None:
            self._check(admitted, str(message.canonicalName), int(getattr(message, "version", -1)), message)
        return self._build(message)

    def _check(self, admitted: Admitted, name: str, version: int, message: Any) -> None:
        if version != 1 or name not in admitted.built:
            raise _refused(name)
        if name == "type":
            named = b"".join(message.nonrecursiveBlob).decode()
            if named not in admitted.named:
                raise _refused(named)
            return
        fields = self._declared(name)
        if fields is not None:
            sent = [field for field in message.fieldsName if field]
            if len(set(sent)) != len(sent) or not set(sent) <= set(fields):
                raise MessageRefused(f"The message gives a {name} fields that it does not have.")


class Bounded:
    """A message schema whose messages cannot be made to point at the same bytes again and again."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self.new_message = schema.new_message

    def from_bytes(self, blob: bytes, **_: Any) -> Any:
        """Opens bytes as a message, however many words the caller would follow."""
        return self._schema.from_bytes(blob, traversal_limit_in_words=most_words(blob))


def most_words(blob: bytes) -> int:
    """How many 8-byte words may be followed while reading `blob`: each about four times, and room for a small one."""
    return len(blob) // 2 + 4096


def _refused(name: str) -> MessageRefused:
    return MessageRefused(f"The message holds a {name[:60]!r}, which no message of the platform does.")
