"""An account learns of its own code requests alone, and so many of them may wait."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.code_requests.own_requests import OwnRequests
from policies.errors import RequestUnknown, TooManyPending

ANNA, BERT = "a" * 64, "b" * 64


def request(uid: str) -> Any:
    """What PySyft keeps of a request, as far as it is looked at."""
    code = SimpleNamespace(linked_user_code=SimpleNamespace(object_uid=f"code-{uid}"))
    return SimpleNamespace(id=uid, changes=[code])


class Kept:
    """A fake of PySyft's requests and of the decisions on them, which notes whose requests were read."""

    def __init__(self) -> None:
        self.requests: dict[str, str] = {}
        self.decided: set[str] = set()
        self.read: list[str] = []

    def of_account(self, account: str) -> list[Any]:
        self.read.append(account)
        link = lambda uid: SimpleNamespace(linked_user_code=SimpleNamespace(object_uid=f"code-{uid}"))  # noqa: E731
        return [
            SimpleNamespace(id=uid, changes=[link(uid)]) for uid, owner in self.requests.items() if owner == account
        ]

    def of_request(self, request_id: str) -> Any:
        return SimpleNamespace(account=self.requests[request_id]) if request_id in self.decided else None

    def of_code(self, code: str) -> Any:
        return self.of_request(code.removeprefix("code-"))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def own(kept: Kept) -> OwnRequests:
    fake: Any = kept
    return OwnRequests(fake, fake, max_pending=2)


def refused(kept: Kept, own: OwnRequests, request_id: str) -> list[tuple[str, list[str]]]:
    """How Bert is refused, and what was read for it."""
    found = []
    for check, uid in ((own.check, request_id), (own.check_code, f"code-{request_id}")):
        kept.read.clear()
        with pytest.raises(RequestUnknown) as error:
            check(uid, BERT)
        found.append((error.value.public, list(kept.read)))
    return found


def test_anothers_request_and_none_and_a_beginning_are_refused_alike_after_the_same_work(
    kept: Kept, own: OwnRequests
) -> None:
    kept.requests = {"pending1": ANNA, "decided1": ANNA, "mine1": BERT}
    kept.decided = {"decided1"}
    answers = [refused(kept, own, uid) for uid in ("pending1", "decided1", "nothing1", "mine", "m", "", "9" * 5000)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0][1] == [BERT]


@pytest.mark.parametrize("decided", [False, True])
def test_the_own_request_is_found_by_its_whole_identifier(kept: Kept, own: OwnRequests, decided: bool) -> None:
    kept.requests, kept.decided = {"mine1": BERT}, {"mine1"} if decided else set()
    own.check("mine1", BERT)
    own.check_code("code-mine1", BERT)


def test_so_many_requests_of_an_account_wait_and_others_are_not_counted(kept: Kept, own: OwnRequests) -> None:
    kept.requests = {"one": BERT, "two": BERT, "three": ANNA}
    with pytest.raises(TooManyPending, match="2 of your requests"):
        own.check_pending(BERT)
    own.check_pending(ANNA)
    kept.decided = {"one"}
    own.check_pending(BERT)
