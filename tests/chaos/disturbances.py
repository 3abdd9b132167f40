"""What is done to a study while it runs, each thing once its round has come; what is broken is whole again in the end.

Nothing waits for a wall clock: the round that has ended says what is next. Only how long a line is cut is a time, as
that is what is done to it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psutil
from support.hospitals import Hospital, command

from chaos.hospitals import Federated
from chaos.watching import Watched

LATENCY_SECONDS, RESETS, SLOWER, CUT_MINUTES = 0.2, 0.05, 20, 10
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
TURN_SECONDS = 1.0
# Hospitals by their number, and of so many rounds the share after which something happens to them.
SLOW, RESTARTED, DENYING, KILLED, CUT, FULL = 1, 2, 0, 3, 4, 5
KILLS = (0.15, 0.45, 0.8)
INVITED_AFTER = 0.1  # early: what has fewer hospitals has less to compute


@dataclass
class Disturbances:
    """The disturbances of one study.

    Attributes:
        federated: The hospitals.
        study: The study under way.
        rounds: Of its plan.
        request_of: Hospital → its request; that of who is invited once it is.
        cut_seconds: How long a line is cut.
        notes: What was done, with the round in which, and how long it took.
    """

    federated: Federated
    study: Watched
    rounds: int
    request_of: dict[str, str]
    cut_seconds: float
    notes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def schedule(self) -> list[tuple[int, str, Callable[[], None]]]:
        """After so many rounds, what happens; in order."""
        shares: list[tuple[float, str, Callable[[], None]]] = [
            (max(INVITED_AFTER, 1 / self.rounds), "invite", self._invite),
            (0.2, "cut", lambda: self._cut(CUT)),
            (0.3, "restart", lambda: self._restart(RESTARTED, signal.SIGTERM)),
            (0.5, "deny", lambda: self._deny(DENYING)),
            (0.55, "disk full", lambda: self._limit_files(FULL, 0)),
            (0.65, "disk free", lambda: self._limit_files(FULL, None)),
            (0.7, "kill", lambda: self._restart(KILLED, signal.SIGKILL)),
            *((share, "kill the researcher", self.study.kill_and_start) for share in KILLS),
        ]
        return sorted((int(share * self.rounds), what, do) for share, what, do in shares)

    def run(self) -> None:
        """Does everything in its turn, while the study goes on."""
        for line in self.federated.lines.values():
            line.latency_seconds, line.resets = LATENCY_SECONDS, RESETS
        with slowed(self._hospital(SLOW), SLOWER), ThreadPoolExecutor() as pool:
            under_way = []
            for after, what, do in self.schedule:
                self.study.wait(lambda after=after: self.study.rounds_done >= after)
                if do in (self.study.kill_and_start, self._invite):
                    self._do(what, do)
                else:  # the study does not wait for a hospital that starts
                    under_way.append(pool.submit(self._do, what, do))
            for one in under_way:
                one.result()
            self.study.wait(lambda: any(one["kind"] == "ended" for one in self.study.told))

    def _do(self, what: str, do: Callable[[], None]) -> None:
        index, begun = self.study.rounds_done, time.monotonic()
        do()
        self.notes.append({"what": what, "round": index + 1, "seconds": round(time.monotonic() - begun, 1)})

    def mend(self) -> None:
        """Everything is whole again."""
        self._limit_files(FULL, None)
        for line in self.federated.lines.values():
            line.latency_seconds, line.resets, line.down = 0.0, 0.0, False

    def _hospital(self, number: int) -> Hospital:
        return list(self.federated.hospitals.values())[number]

    def _cut(self, number: int) -> None:
        line = list(self.federated.lines.values())[number]
        line.down = True
        again = threading.Timer(self.cut_seconds, lambda: setattr(line, "down", False))
        again.daemon = True
        again.start()

    def _restart(self, number: int, how: int) -> None:
        hospital = self._hospital(number)
        hospital.stop(how)
        hospital.start()
        hospital.wait_until_ready()

    def _deny(self, number: int) -> None:
        hospital = self._hospital(number)
        hospital.admin("end", self.request_of[hospital.state.name], "--reason", "our board has changed its mind")

    def _invite(self) -> None:
        """The last hospital is asked by the command, for which the researcher's process is ended, and approves."""
        hospital = self._hospital(-1)
        name, folder = hospital.state.name, self.study.folder

        def ask() -> None:
            about = ("--credentials", str(self.federated.credentials / "*.json"), "--out", str(folder))
            command("-m", "researcher", "invite", *about, "--hospital", name, forked=False)
            self.request_of[name] = json.loads((folder / "study.json").read_text())["requests"][name]["request_id"]
            hospital.admin("approve", self.request_of[name])

        self.study.kill_and_start(ask)

    def _limit_files(self, number: int, size: int | None) -> None:
        """Nothing can be written at a hospital from now on, as on a full disk; or again."""
        for process in _family(self._hospital(number)):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, NO_LIMIT if size is None else (size, NO_LIMIT[1]))


@contextlib.contextmanager
def slowed(hospital: Hospital, times: float) -> Iterator[None]:
    """Inside, the hospital's processes run for a part of each second only."""
    over = threading.Event()

    def turns() -> None:
        while not over.is_set():
            stopped = [one for one in _family(hospital) if _told(one, signal.SIGSTOP)]
            over.wait(TURN_SECONDS * (1 - 1 / times))
            for one in stopped:
                _told(one, signal.SIGCONT)
            over.wait(TURN_SECONDS / times)

    thread = threading.Thread(target=turns, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _told(process: psutil.Process, number: int) -> bool:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)
        return True
    return False


def _family(hospital: Hospital) -> list[psutil.Process]:
    if hospital.process is None:
        return []
    with contextlib.suppress(psutil.Error):
        datasite = psutil.Process(hospital.process.pid)
        return [datasite, *datasite.children(recursive=True)]
    return []
