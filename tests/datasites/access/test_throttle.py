"""Failed sign-ins slow down who fails, for a while, and nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from datasites.access import throttle
from datasites.access.throttle import FREE_TRIES, SignInThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guarded(clock: Clock) -> SignInThrottle:
    return SignInThrottle(clock)


def tries(guarded: SignInThrottle, times: int, account: str = "a@x.org", peer: str = "10.0.0.1") -> list[int]:
    """Tries that fail, without waiting: how long each is told to wait."""
    return [guarded.attempt(account, peer) for _ in range(times)]


def test_the_first_tries_are_free_and_the_next_ones_wait_twice_as_long_each(
    guarded: SignInThrottle, clock: Clock
) -> None:
    assert tries(guarded, FREE_TRIES) == [0] * FREE_TRIES
    waits = []
    for _ in range(9):
        waits += tries(guarded, 1)
        clock.now += waits[-1]
        assert tries(guarded, 1) == [0]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_tries_during_a_pause_do_not_lengthen_it(guarded: SignInThrottle, clock: Clock) -> None:
    tries(guarded, FREE_TRIES)
    assert tries(guarded, 1000) == [1] * 1000
    clock.now += 1
    assert tries(guarded, 1) == [0]


def test_tries_at_once_count_before_any_of_them_has_failed(guarded: SignInThrottle) -> None:
    with ThreadPoolExecutor(20) as pool:
        waits = list(pool.map(lambda _: guarded.attempt("a@x.org", "10.0.0.1"), range(100)))
    assert waits.count(0) == FREE_TRIES


def test_the_accounts_owner_elsewhere_is_not_held_up(guarded: SignInThrottle) -> None:
    tries(guarded, 1000)
    assert tries(guarded, 1, peer="10.0.0.2") == [0]


def test_spelling_an_account_otherwise_gives_no_more_tries(guarded: SignInThrottle) -> None:
    tries(guarded, FREE_TRIES, account=" A@X.org")
    assert tries(guarded, 1) == [1]


def test_a_peer_that_tries_many_accounts_is_slowed_down_at_all_of_them(guarded: SignInThrottle) -> None:
    for number in range(throttle.FREE_TRIES_OF_A_PEER):
        tries(guarded, 1, account=f"{number}@x.org")
    assert tries(guarded, 1, account="new@x.org") == [1]
    assert tries(guarded, 1, account="new@x.org", peer="10.0.0.2") == [0]


def test_signing_in_again_and_again_is_never_slowed_down(guarded: SignInThrottle) -> None:
    for _ in range(1000):
        assert tries(guarded, 1) == [0]
        guarded.succeeded("a@x.org", "10.0.0.1")


def test_failures_are_forgotten_after_a_while(guarded: SignInThrottle, clock: Clock) -> None:
    for _ in range(20):
        clock.now += max(tries(guarded, 2))
    clock.now += throttle.FORGOTTEN_AFTER_SECONDS + 1
    assert tries(guarded, FREE_TRIES) == [0] * FREE_TRIES


def test_it_remembers_a_bounded_number_of_failures(guarded: SignInThrottle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_REMEMBERED", 10)
    for number in range(50):
        tries(guarded, 1, account=f"{number}@x.org", peer=f"10.0.0.{number}")
    assert len(guarded._failures) == 10
