"""What a datasite answers of a round and of its own troubles: of the round that was asked for, and never of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from policies.answers.plain_values import to_plain
from policies.answers.runs import CANARY, ChargedRunAnswer, RunAnswer
from policies.contracts.inputs import Ticket
from policies.errors import ConfigError, FederationError, StorageUnavailable, StoreBroken, WanwuError
from researcher.hospitals.datasite_client import DatasiteClient
from researcher.studies.everywhere import at_each

OLD = RunAnswer("ab", 3, "done", "", "", "0" * 64, 0, 2)
TICKET = Ticket(4, "0" * 64).to_text()


def answering(status: int, content: object) -> DatasiteClient:
    answer = httpx.Response(status, content=json.dumps(content).encode())
    channel: Any = SimpleNamespace(datasite="north", url="https://north", request=lambda *arguments, **named: answer)
    return DatasiteClient(channel, b"\1" * 32)


@pytest.mark.parametrize("run", [OLD, ChargedRunAnswer(**vars(OLD), epsilon_spent=0.5)])
@pytest.mark.parametrize(
    "ask",
    [
        lambda routes: routes.ask("ab", TICKET),
        lambda routes: routes.run("ab", 4),
        lambda routes: routes.cancel("ab", 4),
        lambda routes: routes.canary("ab"),
        lambda routes: routes.ask_for_canary("ab"),
    ],
)
def test_the_run_of_an_earlier_round_is_not_taken_for_this_ones(
    run: RunAnswer, ask: Callable[[DatasiteClient], object]
) -> None:
    with pytest.raises(FederationError, match="the run of another round"):
        ask(answering(200, to_plain(run)))


def test_the_run_of_the_round_that_was_asked_for_is_taken() -> None:
    assert answering(200, to_plain(OLD)).run("ab", 3) == OLD
    canary = RunAnswer("ab", CANARY, "running", "", "", "", 0, 2)
    assert answering(200, to_plain(canary)).canary("ab") == canary


def test_a_hospital_does_not_say_what_is_wrong_with_this_machine() -> None:
    """An error of this machine's settings and files ends what is done at all hospitals."""
    with pytest.raises(FederationError, match="Your folder") as refused:
        answering(400, {"code": ConfigError.code, "error": "Your folder is full."}).request("ab")
    assert refused.type is FederationError


def test_what_a_hospitals_own_disk_refuses_ends_nothing_at_the_others() -> None:
    full = {"code": StorageUnavailable.code, "error": "No room."}
    there = {"north": answering(507, full), "south": answering(200, to_plain(OLD))}
    missing = dict[str, WanwuError]()
    assert list(at_each(there, lambda name: there[name].run("ab", 3), missing.__setitem__)) == ["south"]
    assert isinstance(missing["north"], StorageUnavailable)


def test_what_a_hospital_must_mend_in_its_store_is_not_said_as_if_the_researcher_could() -> None:
    told = {"code": "WW202", "error": "The store's units are not those it counts. Restore it from a copy."}
    with pytest.raises(StoreBroken, match=r"Restore it from a copy\. That is for the hospital's own people to do"):
        answering(500, told).run("ab", 4)
    told["error"] = (
        "The hospital does not keep the pictures any more that this request was approved on. Submit it anew."
    )
    with pytest.raises(StoreBroken, match=r"Submit it anew\.$"):
        answering(500, told).run("ab", 4)
