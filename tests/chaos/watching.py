"""A study under way: the researcher's process, which can be killed and started again, and what it has told so far."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.hospitals import ENVIRONMENT, PROJECT
from support.waiting import CEILING_SECONDS, wait_for

from chaos import researcher

# What a hospital answers about its run of a round.
AT_THE_ROUND = ("queued", "running", "receiving", "done")


@dataclass
class Watched:
    """A study in a folder and the process that runs it.

    Attributes:
        folder: The study's.
        credentials: Of its hospitals.
        min_clients: Least number of updates of a round.
        round_deadline: Seconds; 0 is none.
    """

    folder: Path
    credentials: Sequence[Path]
    min_clients: int
    round_deadline: float
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    resumes: list[dict[str, Any]] = field(default_factory=list)
    _told: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _read: int = 0
    _reading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def start(self) -> None:
        """Starts the researcher's process."""
        call = [str(self.folder), str(self.min_clients), str(self.round_deadline), *map(str, self.credentials)]
        with (self.folder / "researcher.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", researcher.__name__, *call],
                env={**ENVIRONMENT, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"},
                stdout=log,
                stderr=log,
            )

    def kill_and_start(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """SIGKILLs the process inside a round and starts it again; notes how long it takes to be at the round again.

        Args:
            meanwhile: Done while there is no such process, which counts for the study and not for that.
        """
        self.wait(lambda: len(self.at_work(self.rounds_done)) >= 2)
        self.end(signal.SIGKILL)
        index = self.rounds_done
        meanwhile()
        begun = time.time()
        self.start()
        own = self._own_events
        first = self.wait(lambda: next((one for one in own("event") if _is_of(one, index)), None))
        parts = {kind: own(kind)[0]["at"] - begun for kind in ("began", "imported", "connected")}
        self.resumes.append({"round": index + 1, **parts, "at the round": first["at"] - begun})

    def end(self, number: int = signal.SIGKILL) -> None:
        """Ends the process, if there is one."""
        if self.process is not None and self._lives:
            self.process.send_signal(number)
            self.process.wait(CEILING_SECONDS)

    def wait(self, what: Callable[[], Any]) -> Any:
        """Waits while the study moves, however long that takes: until a hospital's state has changed, and so on."""
        try:
            while not (found := what()):
                seen = self._moved
                wait_for(lambda seen=seen: what() or self._moved != seen, alive=lambda: self._lives)
            return found
        except AssertionError as error:
            log = (self.folder / "researcher.log").read_text()[-3000:]
            last = "\n".join(json.dumps(one)[:300] for one in self.told[-15:])
            raise AssertionError(f"{error}; the study has told\n{last}\n{log}") from error

    @property
    def _lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def _moved(self) -> int:
        """How many states of hospitals in rounds there were so far; a state that is told again is none."""
        return len({(one["kind"], one.get("round"), one.get("datasite"), one.get("state")) for one in self.told})

    @property
    def told(self) -> list[dict[str, Any]]:
        """Everything so far, oldest first."""
        file = self.folder / researcher.EVENTS
        with self._reading:
            if file.exists():
                with file.open() as stream:
                    stream.seek(self._read)
                    while (line := stream.readline()).endswith("\n"):
                        self._told.append(json.loads(line))
                        self._read = stream.tell()
            return list(self._told)

    @property
    def rounds_done(self) -> int:
        return sum(one["kind"] == "round" for one in self.told)

    def at_work(self, round_index: int) -> set[str]:
        """The hospitals that are training in a round."""
        last = {
            one["datasite"]: one["state"]
            for one in self.told
            if one["kind"] == "event" and one["round"] == round_index and not one["state"].startswith("canary")
        }
        return {name for name, state in last.items() if state == "running"}

    def _own_events(self, kind: str) -> list[dict[str, Any]]:
        assert self.process is not None
        return [one for one in self.told if one["pid"] == self.process.pid and one["kind"] == kind]


def _is_of(event: dict[str, Any], round_index: int) -> bool:
    """Whether a hospital has told of its run of this round."""
    return event["round"] == round_index and event["state"] in AT_THE_ROUND
