"""A stand-in for a GPU's streams, on a processor: it launches at once, and keeps what was waited for, and by whom."""

from __future__ import annotations

import contextlib
import threading

import pytest

from datasites.training.dp_sgd.loader import Loader


class SeenMark:
    """A mark that is reached at once, and knows whether somebody waited for it."""

    def __init__(self, seen: SeenStreams) -> None:
        self.thread, self.waited = threading.current_thread().name, False
        self._seen = seen

    def synchronize(self) -> None:
        self.waited = True
        self._seen.waits.append(threading.current_thread().name)

    def query(self) -> bool:
        return self._seen.is_quick


class SeenStreams:
    """`side_stream.Streams` without a device."""

    pinned = False
    is_quick = True
    """Whether the device is said to have come to each mark at once."""

    def __init__(self) -> None:
        self.told_marks: list[SeenMark] = []
        self.used_marks: list[SeenMark] = []
        self.waits: list[str] = []
        """Names of the threads that waited for the device."""

    def beside(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def told(self) -> SeenMark:
        self.told_marks.append(SeenMark(self))
        return self.told_marks[-1]

    def used(self) -> SeenMark:
        self.used_marks.append(SeenMark(self))
        return self.used_marks[-1]

    def wait_for(self, mark: SeenMark) -> None:
        assert mark in self.told_marks


def read_ahead_everywhere(monkeypatch: pytest.MonkeyPatch) -> SeenStreams:
    """Lets every loader read ahead as on a GPU, and returns the streams that it takes for one."""
    streams = SeenStreams()
    monkeypatch.setattr(Loader, "_streams", lambda loader: streams)
    return streams
