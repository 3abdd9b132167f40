"""Asking every hospital of a study for one thing: what can be reached is done, what cannot is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from policies.errors import ConfigError, WanwuError

T = TypeVar("T")
OnMissing = Callable[[str, WanwuError], None]


def at_each(names: Iterable[str], do: Callable[[str], T], on_missing: OnMissing | None) -> dict[str, T]:
    """Does something at every hospital, beside each other; returns what came of it where it was done.

    Args:
        names: The hospitals.
        do: What to do.
        on_missing: Told of each at which it was not done, once all have been tried.

    Raises:
        ConfigError: It failed on this machine.
        WanwuError: There is no `on_missing`, and some did not do it: what the first of them said, and who did.
    """
    names = list(names)
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        tried = {name: pool.submit(copy_context().run, do, name) for name in names}
    missing = {name: error for name, future in tried.items() if (error := _refusal(future)) is not None}
    done = {name: future.result() for name, future in tried.items() if name not in missing}
    if on_missing is None:
        if not missing:
            return done
        told = "; ".join(f"{name}: {error.code}: {error.public}" for name, error in missing.items())
        raise type(next(iter(missing.values())))(f"Not done at {told} Done at: {', '.join(done) or 'none'}.")
    for name, error in missing.items():
        on_missing(name, error)
    return done


def _refusal(future: Future[T]) -> WanwuError | None:
    """What a hospital did not do it with; what is not the hospital's is raised when the result is taken.

    A hospital's own disk and books answer with kinds of `ConfigError`, and never with that itself.
    """
    error = future.exception()
    return error if isinstance(error, WanwuError) and type(error) is not ConfigError else None
