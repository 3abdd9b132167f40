"""Signals to stop interrupt a command, and nothing that comes after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
from support.waiting import CEILING_SECONDS

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


@pytest.mark.parametrize("number", [*STOPS, signal.SIGINT])
def test_what_does_not_end_soon_after_it_was_interrupted_says_so_once_and_what_does_is_silent(
    number: signal.Signals,
) -> None:
    said = threading.Event()
    ended: list[bool] = []
    with pytest.raises(KeyboardInterrupt), stoppable(said.set):
        try:
            with stoppable():  # as a simulation within a command
                signal.raise_signal(number)
        finally:
            ended.append(said.wait(CEILING_SECONDS))
    assert ended == [True] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), stoppable(lambda: told.append("late")):
        signal.raise_signal(number)
    for thread in threading.enumerate():
        if thread.name.endswith("(_watch)"):
            thread.join(CEILING_SECONDS)
    assert told == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_what_may_begin_no_further_thread_is_interrupted_all_the_same(
    stop: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(stop)


def test_where_an_interrupt_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell has it for what runs in the background
    try:
        with stoppable():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_simulate_and_chooses_no_signals() -> None:
    seen = []

    def simulate() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=simulate)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
