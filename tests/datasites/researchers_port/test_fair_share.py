"""A researcher's requests take that researcher's share of the port, and refused peers hold nobody up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datasites.access.enrolment import Peer, current_peer
from datasites.researchers_port import refusals
from datasites.researchers_port.fair_share import BURST_SECONDS, FairShare, Share, aside
from datasites.researchers_port.refusals import FREE_REFUSALS, REFUSALS_PER_SECOND, Refusals
from datasites.web.port_limits import PortLimits
from policies.errors import ConfigError


class Clock:
    def __init__(self) -> None:
        self.now = 1024.0

    def __call__(self) -> float:
        return self.now


class Holding:
    """An app that works on each request until it is let go; how many it works on, and for whom."""

    def __init__(self, *, waits_aside: bool = False) -> None:
        self.working: list[str] = []
        self.let_go = asyncio.Event()
        self._waits_aside = waits_aside

    async def __call__(self, scope: Any, *_: Any) -> None:
        peer = current_peer.get()
        assert peer
        self.working.append(peer.email)
        if self._waits_aside:
            async with aside(scope):
                await self.let_go.wait()
        else:
            await self.let_go.wait()


async def ask(share: FairShare, email: str) -> None:
    current_peer.set(Peer(email, "1"))
    await share({"type": "http"}, None, None)  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("waits_aside", "expected"), [(False, 3), (True, 10)])
def test_one_researcher_takes_so_many_places_and_those_that_wait_for_a_run_take_none(
    waits_aside: bool, expected: int
) -> None:
    async def run() -> None:
        app = Holding(waits_aside=waits_aside)
        share = FairShare(app, PortLimits(max_requests_at_once_per_researcher=3))
        asked = [asyncio.create_task(ask(share, "anna")) for _ in range(10)]
        await settle()
        assert app.working == ["anna"] * expected
        others = asyncio.create_task(ask(share, "bert"))
        await settle()
        assert app.working[-1] == "bert"
        app.let_go.set()
        await asyncio.gather(*asked, others)
        assert len(app.working) == 11

    asyncio.run(run())


def test_after_a_burst_requests_begin_at_their_pace() -> None:
    clock = Clock()
    share = Share(PortLimits(max_requests_per_second_per_researcher=8), clock)
    waits = [share.wait_seconds() for _ in range(int(8 * BURST_SECONDS) + 4)]
    assert waits[:-3] == [0.0] * (len(waits) - 3)
    assert waits[-3:] == [0.125, 0.25, 0.375]
    clock.now += 3600
    assert [share.wait_seconds() for _ in range(5)] == [0.0] * 5


@pytest.mark.parametrize("value", [0, -1, 10**30, True, 1.5])
def test_limits_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="max_connections"):
        PortLimits(max_connections=value)


def test_an_address_that_was_refused_often_is_held_off_for_a_moment_and_others_are_not() -> None:
    clock = Clock()
    held = Refusals(lambda *_: None, clock=clock)
    for _ in range(FREE_REFUSALS):
        held.hold_against("192.0.2.1")
    assert not held.is_held_off("192.0.2.1")
    held.hold_against("192.0.2.1")
    assert held.is_held_off("192.0.2.1") and not held.is_held_off("192.0.2.2")
    clock.now += 1 / REFUSALS_PER_SECOND
    assert not held.is_held_off("192.0.2.1")


def test_a_bounded_number_of_addresses_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_ADDRESSES", 10)
    held = Refusals(lambda *_: None)
    for number in range(50):
        held.hold_against(str(number))
    assert len(held._free_at) == 10


def test_refusals_are_told_as_counts() -> None:
    told: list[tuple[str, str, int]] = []
    counted = Refusals(lambda *one: told.append(one))
    for _ in range(1000):
        counted.add("revoked", account="anna@university.org")
        counted.add("unlisted")
    counted.tell_all()
    counted.tell_all()
    assert told == [("revoked", "anna@university.org", 1000), ("unlisted", "", 1000)]
