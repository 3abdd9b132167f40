"""Noise in threads: none is missing where a thread fails or a process forks; the keystream's ends are finite."""

from __future__ import annotations

import math
import os
import threading

import numpy as np
import pytest
import torch
from support.waiting import CEILING_SECONDS

from datasites.training.randomness import keyed_noise
from datasites.training.randomness.keyed_noise import MOST_AT_ONCE, TILE, in_parts

KEY = bytes(range(32))
COUNT = 3 * MOST_AT_ONCE + 5


def values(count: int) -> np.ndarray:
    found = np.full(count, np.nan)

    def use(start: int, part: np.ndarray, memory: np.ndarray) -> None:
        found[start : start + part.size] = part.reshape(-1)[: count - start]

    in_parts(KEY, count, use)
    return found


def test_a_part_that_fails_in_another_thread_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its numbers would be left as they were in memory, without noise."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    own, both, ended = threading.get_ident(), threading.Barrier(2), list[int]()

    def use(start: int, part: np.ndarray, memory: np.ndarray) -> None:
        if not ended:  # each thread has a part before either goes on
            both.wait(CEILING_SECONDS)
            ended.append(start)
        if threading.get_ident() != own:
            raise MemoryError("none left")

    with pytest.raises(MemoryError, match="none left"):
        in_parts(KEY, COUNT, use)


def test_a_part_that_fails_in_this_thread_is_told_once_no_thread_writes_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    own, both, ended = threading.get_ident(), threading.Barrier(2), list[int]()

    def use(start: int, part: np.ndarray, memory: np.ndarray) -> None:
        if threading.get_ident() == own:
            both.wait(CEILING_SECONDS)
            raise MemoryError("none left")
        if not ended:
            both.wait(CEILING_SECONDS)
        ended.append(start)

    with pytest.raises(MemoryError, match="none left"):
        in_parts(KEY, COUNT, use)
    assert len(ended) == 3, "the other took all parts but one"


def test_a_forked_process_makes_the_same_values_with_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    expected = values(COUNT)  # by threads that wait from here on, which no fork has
    child = os.fork()
    if child == 0:
        watch = threading.Timer(CEILING_SECONDS, os._exit, (3,))
        watch.start()
        os._exit(17 if np.array_equal(values(COUNT), expected) else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17


class Keystream:
    """In the cipher's place: all bits alike."""

    def __init__(self, byte: int) -> None:
        self._byte = byte

    def reset_nonce(self, nonce: bytes) -> None:
        pass

    def update_into(self, given: memoryview, into: memoryview) -> None:
        into[:] = np.bitwise_xor(np.frombuffer(given, np.uint8), self._byte).tobytes()


@pytest.mark.parametrize(("byte", "radius"), [(0x00, 0.0), (0xFF, math.sqrt(2 * 53 * math.log(2)))])
def test_both_ends_of_the_keystream_are_finite_values(byte: int, radius: float) -> None:
    maker = keyed_noise._Maker(KEY)
    maker._cipher = Keystream(byte)  # type: ignore[assignment]
    cosines, sines = np.moveaxis(maker.values(0, 1)[0], 2, 0)
    assert cosines.size == sines.size == TILE // 2
    assert np.hypot(cosines, sines) == pytest.approx(radius, rel=1e-15)
