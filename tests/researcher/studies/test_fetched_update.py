"""An update is fetched once, and once more where its bytes came wrong; what the hospital has no more is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.errors import BlobUnknown, DatasiteUnreachable, FederationError, RunLost, SignInFailed, WanwuError
from researcher.studies.rounds.fetched_update import fetch


def taking(*ends: int | WanwuError) -> tuple[Callable[[], int], list[int]]:
    """What ends so, one try after the other, and a list that grows with the tries."""
    tries: list[int] = []

    def take() -> int:
        end = ends[len(tries)]
        tries.append(len(tries))
        if isinstance(end, WanwuError):
            raise end
        return end

    return take, tries


WRONG = FederationError("What came is not what its digest names.")


def test_bytes_that_came_wrong_are_taken_once_more_and_not_twice() -> None:
    take, tries = taking(WRONG, 12)
    assert fetch(take) == 12 and len(tries) == 2
    take, tries = taking(WRONG, WRONG, 12)
    with pytest.raises(FederationError) as raised:
        fetch(take)
    assert raised.value is WRONG and len(tries) == 2


@pytest.mark.parametrize("error", [DatasiteUnreachable("It is away."), SignInFailed("It does not know you.")])
def test_an_error_of_another_kind_is_no_reason_to_take_them_again(error: WanwuError) -> None:
    assert isinstance(error, FederationError) and type(error) is not FederationError
    take, tries = taking(error, 12)
    with pytest.raises(type(error)):
        fetch(take)
    assert len(tries) == 1


@pytest.mark.parametrize("before", [(), (WRONG,)], ids=["at once", "after wrong bytes"])
def test_what_the_hospital_has_no_more_is_lost_and_not_asked_for_again(before: tuple[WanwuError, ...]) -> None:
    take, tries = taking(*before, BlobUnknown("None of this name."), 12)
    with pytest.raises(RunLost, match="charged this round") as lost:
        fetch(take)
    assert len(tries) == len(before) + 1 and lost.value.private == "None of this name."
