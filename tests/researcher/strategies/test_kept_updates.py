"""A round's updates in a file: read back as they were written, or said to be unreadable, whatever the disk does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policies.errors import ConfigError
from researcher.strategies import kept_updates
from researcher.strategies.kept_updates import KeptUpdates
from researcher.strategies.state import ClientUpdate

LIKE = {"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.float32)}


def update(name: str, seed: int, staleness: int = 0) -> ClientUpdate:
    random = np.random.default_rng(seed)
    arrays = {key: random.standard_normal(one.shape).astype(np.float32) for key, one in LIKE.items()}
    return ClientUpdate(name, arrays, 1, staleness)


@pytest.mark.parametrize("at_once", [3, 10, 1 << 22])
def test_pieces_hold_every_value_of_every_update_in_their_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_updates, "_VALUES_AT_ONCE", at_once)
    given = [update("north", 1), update("south", 2, staleness=3), update("west", 3)]
    with KeptUpdates(LIKE, given) as kept:
        whole = np.empty((3, 22), np.float32)
        for which, values in kept.pieces():
            assert values.dtype == np.float32 and not isinstance(values.base, np.memmap)
            whole[:, which] = values
    for row, one in zip(whole, given, strict=True):
        smaller = np.float32(1 / math.sqrt(1 + one.staleness))
        assert np.array_equal(row, np.concatenate([one.update["a"].ravel(), one.update["b"]]) * smaller)


def test_a_disk_that_does_not_give_them_back_is_an_error_and_not_the_end_of_the_process() -> None:
    with KeptUpdates(LIKE, [update("north", 1), update("south", 2)]) as kept:
        kept._file.truncate(100)
        with pytest.raises(ConfigError, match=r"cannot be read back from .*, or point TMPDIR elsewhere, and resume\."):
            list(kept.pieces())
