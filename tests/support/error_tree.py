"""The tree of errors as a drawing: every class below the one that it inherits from, with its code."""

from __future__ import annotations

from collections.abc import Iterator

from policies import errors
from policies.errors import WanwuError

_CODE_COLUMN = 31


def draw() -> str:
    """The whole tree, one class a line, in the order of the codes."""
    return "\n".join([f"{WanwuError.__name__:<{_CODE_COLUMN}}{WanwuError.code}", *_branches(WanwuError, " ")])


def _branches(parent: type[WanwuError], indent: str) -> Iterator[str]:
    children = sorted((kind for kind in _classes() if parent in kind.__bases__), key=lambda kind: kind.code)
    for kind in children:
        last = kind is children[-1]
        yield f"{indent + ('└─ ' if last else '├─ ') + kind.__name__:<{_CODE_COLUMN}}{kind.code}"
        yield from _branches(kind, indent + ("   " if last else "│  "))


def _classes() -> list[type[WanwuError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WanwuError)]
