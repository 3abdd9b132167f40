"""A signed call counts once."""

from __future__ import annotations

import pytest

from datasites.pysyft.replays import SeenCalls
from policies.errors import NotAllowed


def test_a_call_that_comes_again_is_refused() -> None:
    seen = SeenCalls()
    seen.check("ab", b"call")
    with pytest.raises(NotAllowed, match="before"):
        seen.check("ab", b"call")


def test_another_call_and_another_accounts_call_pass() -> None:
    seen = SeenCalls()
    seen.check("ab", b"call")
    seen.check("ab", b"other call")
    seen.check("cd", b"call")


def test_one_accounts_calls_do_not_push_out_anothers() -> None:
    seen = SeenCalls(remembered=2)
    seen.check("ab", b"call")
    for number in range(10):
        seen.check("cd", bytes([number]))
    with pytest.raises(NotAllowed):
        seen.check("ab", b"call")


def test_only_the_newest_calls_are_kept() -> None:
    seen = SeenCalls(remembered=2)
    for message in (b"1", b"2", b"3"):
        seen.check("ab", message)
    assert [len(calls) for calls in seen._seen.values()] == [2]
    with pytest.raises(NotAllowed):
        seen.check("ab", b"2")
