"""An update is fetched once, and once more where its bytes came wrong; what the hospital has no more is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from policies.contracts.outputs import checked_update
from policies.contracts.weights import canonical_bytes
from policies.errors import (
    BlobUnknown,
    ConfigError,
    DatasiteUnreachable,
    FederationError,
    RunLost,
    SignInFailed,
    WanwuError,
)
from researcher.strategies import ClientUpdate, FedAvg
from researcher.studies.rounds.fetched_update import fetch, kept_here, unreadable


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


def test_an_update_that_this_machines_disk_does_not_give_back_is_told_as_that(tmp_path: Path) -> None:
    shapes = {"w": (50_000,)}
    content = canonical_bytes({"w": np.ones(50_000, np.float32)})
    with kept_here("hospital_a") as file:
        file.write_bytes(content)
        update = checked_update(file, shapes, max_bytes=len(content), told=partial(unreadable, "hospital_a"))
        os.truncate(file, 100)
    with pytest.raises(ConfigError, match=r"update of .hospital_a. .* read back .* the hospital keeps the update"):
        FedAvg().apply(FedAvg().init({"w": np.zeros(50_000, np.float32)}), [ClientUpdate("hospital_a", update, 1.0)])


def test_values_that_changed_on_this_machines_disk_reach_no_model(tmp_path: Path) -> None:
    weights = {"w": np.zeros(50_000, np.float32)}
    content = canonical_bytes({"w": np.ones(50_000, np.float32)})
    file = tmp_path / "update"
    file.write_bytes(content)
    update = checked_update(file, {"w": (50_000,)}, max_bytes=len(content))
    after = FedAvg().apply(FedAvg().init(weights), [ClientUpdate("a", update, 2.0)])
    assert np.array_equal(after.weights["w"], update["w"])
    file.write_bytes(content[:-4] + np.float32(np.inf).tobytes())
    with pytest.raises(ConfigError, match="changed on this machine's disk since it came"):
        FedAvg().apply(FedAvg().init(weights), [ClientUpdate("a", update, 2.0)])


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, "Make room"), (errno.EIO, "Look at that disk")])
def test_what_is_wrong_with_this_machines_disk_is_told(number: int, told: str) -> None:
    with pytest.raises(ConfigError, match=told), kept_here("hospital_a"):
        raise OSError(number, os.strerror(number))
