"""SIGTERM and the end of the terminal stop a command as Ctrl-C does. What it runs on ends, and its files go."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_STOPS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Has each of these signals interrupt what happens within, and puts back what they did before."""
    before = {number: signal.getsignal(number) for number in _STOPS}
    catch_stops()
    try:
        yield
    finally:
        if _is_allowed():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def catch_stops() -> None:
    """Does so from now on; again after Ray started, which puts a handler of its own there that ends no cluster.

    With nohup, the end of the terminal is no stop. Outside the main thread Python lets nobody choose, and all stays.
    """
    if _is_allowed():
        for number in _STOPS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)


def _is_allowed() -> bool:
    return threading.current_thread() is threading.main_thread()
