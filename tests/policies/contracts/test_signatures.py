"""Signed requests: whose they are, when they were made, and that none counts twice."""

from __future__ import annotations

import pytest

from policies.contracts.signatures import MAX_AGE_SECONDS, SIGNATURE, SignatureCheck, sign
from policies.errors import ClocksDiffer, SignInFailed

SEED, NOW, PATH = bytes(32), 1_800_000_000.0, "/wanwu/v1/info"


def verify(check: SignatureCheck, headers: dict[str, str]) -> str:
    return check.verify(headers, "GET", PATH, now=NOW)


@pytest.mark.parametrize("off", [0.0, MAX_AGE_SECONDS, -MAX_AGE_SECONDS])
def test_a_request_counts_once_within_two_minutes_by_either_clock(off: float) -> None:
    check, headers = SignatureCheck(), sign(SEED, "GET", PATH, now=NOW + off)
    assert verify(check, headers) == headers["x-wanwu-key"]
    with pytest.raises(SignInFailed, match="did not accept the request's signature"):
        verify(check, headers)


def test_a_request_of_a_clock_that_is_ahead_counts_once_for_as_long_as_it_is_not_too_old() -> None:
    check, headers = SignatureCheck(), sign(SEED, "GET", PATH, now=NOW + MAX_AGE_SECONDS)
    check.verify(headers, "GET", PATH, now=NOW)
    for later in range(1, 2 * int(MAX_AGE_SECONDS) + 1, 20):
        check.verify(sign(SEED, "GET", PATH, now=NOW + later), "GET", PATH, now=NOW + later)
        with pytest.raises(SignInFailed):
            check.verify(headers, "GET", PATH, now=NOW + later)
    with pytest.raises(ClocksDiffer):
        check.verify(headers, "GET", PATH, now=NOW + 2 * MAX_AGE_SECONDS + 1)


@pytest.mark.parametrize(("off", "told"), [(3600.0, "3600 seconds after now"), (-121.0, "121 seconds before now")])
def test_a_request_of_another_time_is_told_by_how_much_the_clocks_differ(off: float, told: str) -> None:
    check = SignatureCheck()
    with pytest.raises(ClocksDiffer, match=f"signed {told} by the datasite's clock, 120 are the most"):
        verify(check, sign(SEED, "GET", PATH, now=NOW + off))
    assert verify(check, sign(SEED, "GET", PATH, now=NOW)), "the same account, once its clock is right"


def test_the_datasites_clock_is_told_to_nobody_without_the_accounts_key() -> None:
    headers = sign(SEED, "GET", PATH, now=NOW + 3600)
    with pytest.raises(SignInFailed):
        verify(SignatureCheck(), {**headers, SIGNATURE: "0" * 128})


def test_a_clock_that_was_ahead_and_is_put_back_does_not_have_every_request_remembered_for_as_long() -> None:
    check, day = SignatureCheck(), 86_400.0
    check.verify(sign(SEED, "GET", PATH, now=NOW + day), "GET", PATH, now=NOW + day)
    for second in range(0, 3600, 100):
        check.verify(sign(SEED, "GET", PATH, now=NOW + second), "GET", PATH, now=NOW + second)
    assert len(check._seen) < 10
