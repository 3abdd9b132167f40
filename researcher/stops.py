"""SIGTERM and the end of the terminal stop a command as Ctrl-C does. What it runs on ends, and its files go."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_STOPS = (signal.SIGTERM, signal.SIGHUP)
_SILENT_SECONDS = 0.5
# What runs within, the outermost first: set once it is over, and what is called where that takes long.
_running: list[tuple[threading.Event, Callable[[], None]]] = []


@contextlib.contextmanager
def stoppable(slow: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Has each of these signals interrupt what happens within, and puts back what they did before.

    Args:
        slow: Called, from another thread, where what happens within has not ended soon after it was interrupted, as
            where it imports or waits for a hospital's answer.
    """
    if not _is_allowed():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*_STOPS, signal.SIGINT)}
    over = threading.Event()
    _running.append((over, slow))
    catch_stops()
    if before[signal.SIGINT] is signal.default_int_handler:  # not where somebody else hears of it, or nobody may
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        over.set()
        _running.pop()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def catch_stops() -> None:
    """Does so from now on; again after Ray started, which puts a handler of its own there that ends no cluster.

    With nohup, the end of the terminal is no stop. Outside the main thread Python lets nobody choose, and all stays.
    """
    if _is_allowed():
        for number in _STOPS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for over, slow in _running[:1]:
        with contextlib.suppress(RuntimeError):  # of no further thread: it is interrupted all the same
            threading.Thread(target=_watch, args=(over, slow), daemon=True).start()
    signal.default_int_handler(number, frame)


def _watch(over: threading.Event, slow: Callable[[], None]) -> None:
    if not over.wait(_SILENT_SECONDS):
        slow()


def _is_allowed() -> bool:
    return threading.current_thread() is threading.main_thread()
