"""Processor time of an exported model for one picture. Drawn or public pictures alone."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from researcher.exported.session import ModelSession
from researcher.exports.pictures import Pictures

_CALLS = 15


def milliseconds(sessions: Sequence[ModelSession], pictures: Pictures) -> list[float]:
    """Median milliseconds of one thread for one picture, of each session.

    They take turns, and the thread's own time is read, so that what else the machine does changes little.

    Args:
        sessions: Opened with one thread.
        pictures: Of which the first is taken.
    """
    one = pictures.first(1)
    found: list[list[float]] = [[] for _ in sessions]
    for call in range(_CALLS + 2):
        for session, times in zip(sessions, found, strict=True):
            begun = time.thread_time()
            session.probabilities(one.images, one.tokens)
            if call >= 2:  # the first ones fetch the weights
                times.append(1000 * (time.thread_time() - begun))
    return [float(np.median(times)) for times in found]
