"""Signals to stop interrupt a command, and nothing that comes after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from researcher.stops import catch_stops, stoppable

STOPS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_to_stop_interrupts_within_and_not_afterwards(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.signal(number, signal.SIG_DFL)  # as what starts meanwhile may do
        catch_stops()
        signal.raise_signal(number)
    assert [signal.getsignal(one) for one in STOPS] == [signal.SIG_DFL, signal.SIG_DFL]


def test_the_end_of_the_terminal_is_no_stop_with_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_another_thread_may_simulate_and_chooses_no_signals() -> None:
    seen = []

    def simulate() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=simulate)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
