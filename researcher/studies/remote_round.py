"""One round at one hospital, from the researcher's side: weights up, ticket, progress, client update down."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from policies.answers.runs import ENDED, ChargedRunAnswer, RunAnswer
from policies.contracts.encodings import encode, largest_size
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import take_update
from policies.contracts.weights import Malformed
from policies.errors import DatasiteUnreachable, FederationError, RunFailed, RunLost
from policies.plans.kinds import Plan
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.datasite_client import raise_answer
from researcher.hospitals.hospital import Hospital

_T = TypeVar("_T")


@dataclass(frozen=True)
class RetryPolicy:
    """How long a round may take, and how often it is tried.

    Attributes:
        round_timeout_seconds: Wall clock for one hospital's round, queue and transfer included.
        attempts: How often a hospital is asked for a round whose run could not be started, which costs nothing.
        unreachable_seconds: How long a datasite may be out of reach, such as in a restart.
    """

    round_timeout_seconds: float = 24 * 3600
    attempts: int = 2
    unreachable_seconds: float = 60.0


@dataclass(frozen=True)
class RoundEvent:
    """What a hospital is doing in a round; for a progress display.

    Attributes:
        datasite: Which hospital.
        round: Rounds before this one; the ticket's number.
        state: `sending`, `queued`, `running`, `receiving`, `done`, `failed`, `cancelled` or `unreachable`.
        reason: Public reason of a failure.
        queue_position: Runs before this one, while it is queued.
    """

    datasite: str
    round: int
    state: str
    reason: str = ""
    queue_position: int = 0


@dataclass(frozen=True)
class OutgoingWeights:
    """Global weights on their way to the hospitals: encoded once, the same bytes to each."""

    content: bytes
    digest: str

    @classmethod
    def encode(cls, arrays: Mapping[str, np.ndarray], plan: Plan, round_index: int) -> Self:
        """The weights as the plan says they travel; a round that is asked for again gives the same bytes.

        Args:
            arrays: Name → float32, each of its parameter's shape.
            plan: Says the encoding.
            round_index: Together with the plan what stochastic rounding is drawn from.

        Raises:
            FederationError: A value is not finite.
        """
        seed = f"{plan.digest()}/{round_index}".encode() if plan.weights_encoding == "int8" else b""
        try:
            content = encode(arrays, plan.weights_encoding, seed=seed)
        except Malformed as error:
            raise FederationError(f"The global weights cannot be sent: {error}. Lower the learning rate.") from error
        return cls(content, hashlib.sha256(content).hexdigest())


@dataclass
class DatasiteRound:
    """What came back from one hospital, and what it took. Bytes are those of the encoded weights and update."""

    update: dict[str, np.ndarray] | None
    bytes_up: int
    bytes_down: int
    queue_seconds: float
    transfer_seconds: float
    train_seconds: float
    epsilon: float | None
    arrived: float = field(default_factory=time.monotonic)

    def take_update(self) -> dict[str, np.ndarray]:
        """Hands the update over, so that only the average stays in memory.

        Returns:
            Name → float32 array, each of its parameter's shape.
        """
        if self.update is None:
            raise FederationError("The update was taken already.")
        update, self.update = self.update, None
        return update


@dataclass
class RemoteRound:
    """One hospital's part of a round.

    Attributes:
        hospital: Which.
        dataset: Name of its dataset.
        request: The approved code request.
        plan: The approved plan.
        round_index: The ticket's number.
        retry_policy: How long to wait and how often to try.
        stopping: Set when the round ends without this hospital.
        on_event: Told what the hospital is doing.
        epsilon: What the hospital's ledger says that the request has spent, once the round has ended there; also of a
            round that gave nothing.
    """

    hospital: Hospital
    dataset: str
    request: CodeRequest
    plan: Plan
    round_index: int
    retry_policy: RetryPolicy
    stopping: threading.Event
    on_event: Callable[[RoundEvent], None]
    epsilon: float | None = None

    def run(self, weights: OutgoingWeights, shapes: Mapping[str, tuple[int, ...]]) -> DatasiteRound:
        """Returns the client update of this round.

        Args:
            weights: The global weights, encoded as the plan says.
            shapes: Names and shapes that the update must have.

        Raises:
            RunLost: The round was charged and gave nothing; the hospital runs it no more.
            WanwuError: The hospital refused, its run could not be started in `attempts` tries, or the time is up.
        """
        deadline = time.monotonic() + self.retry_policy.round_timeout_seconds
        for last_try in [False] * (self.retry_policy.attempts - 1) + [True]:
            try:
                return self._attempt(weights, shapes, deadline)
            except RunFailed as error:
                self._say("failed", reason=error.public)
                if last_try or isinstance(error, RunLost) or time.monotonic() > deadline:
                    raise
        raise RunFailed("The hospital was not asked: RetryPolicy.attempts must be at least 1.")

    def _attempt(
        self, weights: OutgoingWeights, shapes: Mapping[str, tuple[int, ...]], deadline: float
    ) -> DatasiteRound:
        routes = self.hospital.routes
        self._say("sending")
        begun = time.monotonic()
        self._reaching(lambda: routes.put_blob(weights.content, digest=weights.digest))
        sent = time.monotonic()
        ticket = Ticket(round=self.round_index, weights=weights.digest)
        self._reaching(lambda: self.hospital.ask(self.dataset, self.request, ticket))
        run, started = self._follow(deadline)
        trained = time.monotonic()
        self.epsilon = run.epsilon_spent if isinstance(run, ChargedRunAnswer) else None
        if run.state != "done":
            raise_answer(run.code, run.reason)
        self._say("receiving")
        encoding = self.plan.update_encoding
        limit = largest_size(shapes, encoding)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "update"
            size = self._reaching(lambda: routes.get_blob(run.update, file, max_bytes=limit))
            update = take_update(file, shapes, max_bytes=limit, encoding=encoding)
        ended = time.monotonic()
        self._say("done")
        return DatasiteRound(
            update=update,
            bytes_up=len(weights.content),
            bytes_down=size,
            queue_seconds=started - sent,
            transfer_seconds=(sent - begun) + (ended - trained),
            train_seconds=trained - started,
            epsilon=self.epsilon,
            arrived=ended,
        )

    def _follow(self, deadline: float) -> tuple[RunAnswer, float]:
        """Waits until the run has ended; returns its last public fields and when it left the queue."""
        seen, started = -1, None
        while True:
            run = self._reaching(partial(self._ask, seen))
            seen = run.version
            if started is None and run.state != "queued":
                started = time.monotonic()
            if run.state in ENDED:
                return run, started or time.monotonic()
            self._say(run.state, queue_position=run.queue_position)
            if time.monotonic() > deadline:
                raise FederationError(
                    f"The round took more than {self.retry_policy.round_timeout_seconds:g} seconds. Raise the timeout."
                )
            if self.stopping.is_set():
                raise FederationError("The round ended without this hospital.")

    def _ask(self, seen: int) -> RunAnswer:
        return self.hospital.routes.run(self.request.request_id, self.round_index, seen=seen, wait_seconds=10.0)

    def _reaching(self, ask: Callable[[], _T]) -> _T:
        """Asks again while the datasite cannot be reached, as long as the retry policy allows."""
        deadline = time.monotonic() + self.retry_policy.unreachable_seconds
        while True:
            try:
                return ask()
            except DatasiteUnreachable as error:
                if time.monotonic() > deadline or self.stopping.is_set():
                    raise
                self._say("unreachable", reason=error.public)
                time.sleep(1.0)

    def _say(self, state: str, reason: str = "", queue_position: int = 0) -> None:
        event = RoundEvent(self.hospital.name, self.round_index, state, reason, queue_position)
        self.on_event(event)
