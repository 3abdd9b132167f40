"""Hospitals in this process, for studies: they train nothing, count what they charge, and do what they are told.

What a hospital gives in a round depends on its name and the round alone, so a test can say what the model has to be.
"""

from __future__ import annotations

import hashlib
import math
import threading
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from policies.answers.requests import RequestAnswer
from policies.answers.runs import CANARY, ENDED, ChargedRunAnswer, RunAnswer
from policies.contracts.encodings import encode
from policies.contracts.inputs import Ticket
from policies.errors import (
    BlobUnknown,
    DatasiteUnreachable,
    RequestUnknown,
    RoundRefused,
    RunFailed,
    RunLost,
    WanwuError,
)
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.federation import Federation

SIZE = 100


def given(name: str, round_index: int, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a hospital's update of a round is."""
    value = zlib.crc32(f"{name} {round_index}".encode()) % 1000 / 1000
    return {key: np.full(array.shape, value, dtype=np.float32) for key, array in like.items()}


@dataclass
class FakeHospital:
    """One hospital with its routes.

    Attributes:
        name: Its name.
        shapes: Arrays like those of the model.
        slow: Rounds that train until the event is set.
        decision: (state, reason) of its request.
        refusal: What it answers to any ticket; None takes it.
        canary_fails: Why its canary fails; it passes if empty.
        away: Whether it is out of reach.
        shut: What it answers to everything; None lets the account in.
        asked: Round → how often a ticket for it came.
        charged: Round → how often it was charged.
        trained: Round → how often it was trained.
        downloads: Round → how often its update was taken.
        keeps_not: Rounds whose update its disk did not keep.
        together: Whether it takes weights with their ticket, as hospitals of 0.2 do not.
    """

    name: str
    shapes: Mapping[str, np.ndarray]
    slow: dict[int, threading.Event] = field(default_factory=dict)
    decision: tuple[str, str] = ("approved", "")
    refusal: WanwuError | None = None
    canary_fails: str = ""
    away: bool = False
    shut: WanwuError | None = None
    asked: Counter[int] = field(default_factory=Counter)
    charged: Counter[int] = field(default_factory=Counter)
    trained: Counter[int] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    keeps_not: tuple[int, ...] = ()
    together: bool = True

    def __post_init__(self) -> None:
        self.datasets = {"d": SimpleNamespace(public_size=SIZE)}
        self.versions: dict[str, str] = {}
        self.routes = self
        self.bytes_moved = 0
        self.round_receipts: dict[str, object] = {}
        self._blobs: dict[str, bytes] = {}
        self._weights: dict[int, str] = {}  # of each round that was asked for, their digest
        self._runs: dict[int, tuple[str, str, str, int]] = {}  # state, code, update, version
        self._changed = threading.Condition()

    # --- routes -----------------------------------------------------------------------------------------------

    def request(self, request_id: str) -> RequestAnswer:
        self._reach()
        return RequestAnswer(request_id, *self.decision)

    def ask_for_canary(self, request_id: str) -> RunAnswer:
        self._reach()
        state, code = ("failed", RunFailed.code) if self.canary_fails else ("done", "")
        return RunAnswer("c" * 16, CANARY, state, code, self.canary_fails, "", 0, 1)

    def put_blob(self, content: bytes, *, digest: str = "") -> str:
        self._reach()
        self._blobs[digest] = content
        return digest

    def get_blob(self, digest: str, file: Path, *, max_bytes: int) -> int:
        self._reach()
        self.downloads[digest] += 1
        if digest not in self._blobs:
            raise BlobUnknown("No whole blob for this account.")
        return file.write_bytes(self._blobs[digest])

    def ask(self, dataset: str, request: CodeRequest, ticket: Ticket) -> RunAnswer:
        """Takes a ticket as a datasite does: a round that was asked for before is not run again."""
        self._reach()
        if self.refusal is not None:
            raise self.refusal
        self.asked[ticket.round] += 1
        if ticket.weights not in self._blobs:
            raise BlobUnknown("No such blob.")
        with self._changed:
            if self._weights.setdefault(ticket.round, ticket.weights) != ticket.weights:
                raise RoundRefused("It was charged with other weights.")
            if ticket.round not in self._runs:
                self._runs[ticket.round] = ("running", "", "", 1)
                self.charged[ticket.round] += 1
                threading.Thread(target=self._train, args=(ticket.round,), daemon=True).start()
        return self.run("", ticket.round)

    def takes_together(self, size: int) -> bool:
        return self.together

    def ask_with(self, dataset: str, request: CodeRequest, ticket: Ticket, weights: bytes) -> RunAnswer:
        return self.ask(dataset, request, Ticket(ticket.round, self.put_blob(weights, digest=ticket.weights)))

    def run(self, request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> RunAnswer:
        self._reach()
        with self._changed:
            if round_index not in self._runs:
                raise RequestUnknown("It was not asked for.")
            self._changed.wait_for(lambda: self.away or self._runs[round_index][3] > seen, wait_seconds)
            state, code, update, version = self._runs[round_index]
        self._reach()
        told = (f"{round_index:016x}", round_index, state, code, "It ended." if code else "", update, 0, version)
        return ChargedRunAnswer(*told, 0.5 * len(self.charged)) if state in ENDED else RunAnswer(*told)

    def cancel(self, request_id: str, round_index: int) -> RunAnswer:
        self._reach()
        with self._changed:
            if round_index in self._runs and self._runs[round_index][0] not in ENDED:
                self._end(round_index, "cancelled", RunLost.code, "")
        return self.run(request_id, round_index)

    # --- what a test tells it -----------------------------------------------------------------------------------

    def is_held_up(self, round_index: int) -> bool:
        """Whether a round trains until the test lets it go."""
        return round_index in self.slow and not self.slow[round_index].is_set()

    def leave(self) -> None:
        """Is out of reach from now on; who waits for an answer learns it at once."""
        with self._changed:
            self.away = True
            self._changed.notify_all()

    def _reach(self) -> None:
        if self.away:
            raise DatasiteUnreachable(f"Datasite '{self.name}' cannot be reached.")
        if self.shut is not None:
            raise self.shut

    def _train(self, round_index: int) -> None:
        if round_index in self.slow:
            self.slow[round_index].wait()
        content = encode(given(self.name, round_index, self.shapes), "none", seed=b"")
        digest = hashlib.sha256(content).hexdigest()
        with self._changed:
            if self._runs[round_index][0] in ENDED:
                return
            self.trained[round_index] += 1
            if round_index not in self.keeps_not:
                self._blobs[digest] = content
            self._end(round_index, "done", "", digest)

    def _end(self, round_index: int, state: str, code: str, update: str) -> None:
        self._runs[round_index] = (state, code, update, self._runs[round_index][3] + 1)
        self._changed.notify_all()


def federation_of(*hospitals: FakeHospital) -> Any:
    connected: list[Any] = list(hospitals)
    return Federation(connected)


def requests_of(*hospitals: FakeHospital) -> dict[str, CodeRequest]:
    return {one.name: CodeRequest(request_id=one.name, function="f", code_id="c") for one in hospitals}


def averaged(first: Mapping[str, np.ndarray], records: Any) -> dict[str, np.ndarray]:
    """The model that plain federated averaging of the updates named in a history makes, computed apart."""
    weights = {key: array.astype(np.float64) for key, array in first.items()}
    for record in records:
        for name in record.datasites:
            staleness = record.staleness.get(name, 0)
            update = given(name, record.round - 1 - staleness, first)
            for key in weights:
                weights[key] += update[key] / math.sqrt(1 + staleness) / len(record.datasites)
    return weights
