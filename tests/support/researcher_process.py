"""A researcher in a process of its own, whose fake hospitals stay in the test's: it can be killed, and they go on."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.fake_hospitals import SIZE, FakeHospital, federation_of, requests_of
from support.hospitals import CLASSES, ENVIRONMENT, draw_pictures
from support.nursery import Born, born_researcher
from support.waiting import CEILING_SECONDS

from policies.errors import WanwuError
from policies.plans.training import TrainingPlan

_KEY = b"of this test"


class FromAfar:
    """A hospital of another process: every call goes there and back."""

    def __init__(self, socket: str, name: str) -> None:
        self.name, self.bytes_moved, self._socket = name, 0, socket
        self.datasets = {"d": SimpleNamespace(public_size=SIZE)}
        self.routes = self
        self.round_receipts: dict[str, object] = {}

    def __getattr__(self, method: str) -> Any:
        return partial(self._call, method)

    def _call(self, method: str, *given: Any, **named: Any) -> Any:
        with Client(self._socket, authkey=_KEY) as line:
            line.send((self.name, method, given, named))
            answer = line.recv()
        if isinstance(answer, WanwuError):
            raise answer
        return answer


@contextlib.contextmanager
def researcher(folder: Path, plan: TrainingPlan, *hospitals: FakeHospital, errors: int = 2) -> Iterator[Born]:
    """A process that runs the study in a folder at these hospitals; killed in the end, if it was not before.

    Its standard error goes to `errors`.
    """
    socket = str(Path(tempfile.mkdtemp(dir=folder)) / "hospitals.sock")
    with Listener(socket, authkey=_KEY) as listener:
        threading.Thread(target=_serve, args=(listener, {one.name: one for one in hospitals}), daemon=True).start()
        names = [one.name for one in hospitals]
        program = "import sys; from support import researcher_process; researcher_process.main(*sys.argv[1:])"
        words = ["-c", program, socket, str(folder), plan.to_json(), *names]
        process = born_researcher(words, ENVIRONMENT, errors=errors)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(CEILING_SECONDS)


def _serve(listener: Listener, hospitals: dict[str, FakeHospital]) -> None:
    with contextlib.suppress(OSError):
        while True:
            with contextlib.suppress(EOFError):  # who asked was killed while it was let in
                threading.Thread(target=_answer, args=(listener.accept(), hospitals), daemon=True).start()


def _answer(line: Connection, hospitals: dict[str, FakeHospital]) -> None:
    with line, contextlib.suppress(EOFError, OSError):  # who asked was killed
        name, method, given, named = line.recv()
        try:
            answer = getattr(hospitals[name], method)(*given, **named)
        except WanwuError as error:
            answer = error
        line.send(answer)


def main(socket: str, folder: str, plan: str, *names: str) -> None:
    """Runs the study."""
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.studies.study import Study

    hospitals: list[Any] = [FromAfar(socket, name) for name in names]
    made = TrainingPlan.from_json(plan)
    study = Study(federation_of(*hospitals), made, requests_of(*hospitals), Path(folder))
    hold_out = HoldOut(*draw_pictures(20, seed=99), CLASSES)
    study.run(hold_out=hold_out, initial_weights=initial_weights(made.model, 0), min_clients=len(names))
