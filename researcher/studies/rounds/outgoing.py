"""Weights that go out to hospitals in a round: global ones and, where the strategy has them, arrays of their own.

All of it follows from what hospitals released before.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, Self, cast, runtime_checkable

import numpy as np

from policies.contracts.encodings import encode
from policies.contracts.weights import Malformed
from policies.errors import ConfigError, FederationError
from policies.plans.kinds import Plan
from policies.plans.server.beside import together, word_of
from policies.plans.server.local_part import keeps_part
from policies.plans.server.server_spec import BESIDE
from policies.plans.training import TrainingPlan
from researcher.strategies import ServerState, SharedPart, Strategy, Weights

_AT_ONCE = 4  # files of hospitals' own that are in memory, whatever the number of hospitals


class Outgoing(Protocol):
    """What goes out in a round.

    Attributes:
        digest: Of what all hospitals have in common; tells a round that is asked for again from another.
    """

    @property
    def digest(self) -> str: ...

    def to(self, datasite: str) -> AbstractContextManager[OutgoingWeights]:
        """What one hospital is sent, in memory as long as this is open."""
        ...


@runtime_checkable
class OwnArrays(Protocol):
    """A strategy that sends each hospital arrays of its own."""

    def sent(self, state: ServerState, datasite: str) -> tuple[Weights, Weights]:
        """The weights that a hospital starts from, and what comes in beside them: name → array of its shape."""
        ...


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

    def to(self, datasite: str) -> AbstractContextManager[OutgoingWeights]:
        """The same for every hospital."""
        return nullcontext(self)


@dataclass(frozen=True)
class OwnOutgoing:
    """Global weights with each hospital's own arrays: encoded when they are sent, and again if they are sent again.

    Attributes:
        strategy: Makes the arrays.
        state: At the round's beginning.
        plan: Says the encoding.
        digest: Of the global weights alone.
    """

    strategy: Strategy
    state: ServerState
    plan: TrainingPlan
    digest: str
    _room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    @contextmanager
    def to(self, datasite: str) -> Iterator[OutgoingWeights]:
        """What one hospital is sent; waits while others fill the room for it."""
        with self._room:
            arrays = arrays_for(self.strategy, self.plan, self.state, datasite)
            yield OutgoingWeights.encode(arrays, self.plan, self.state.round)


def outgoing(strategy: Strategy, plan: TrainingPlan, state: ServerState) -> Outgoing:
    """What goes out in the round that begins with this state.

    Raises:
        FederationError: A value is not finite.
    """
    shared = OutgoingWeights.encode(state.weights, plan, state.round)
    if word_of(plan, state.round) is None:
        return shared
    check_sends(strategy, plan)
    return OwnOutgoing(strategy, state, plan, shared.digest)


def arrays_for(strategy: Strategy, plan: TrainingPlan, state: ServerState, datasite: str) -> Weights:
    """What one hospital is sent in a round, name → float32 array: global weights, and its own where there are any.

    Args:
        strategy: The plan's.
        plan: Says what is sent beside global weights.
        state: At the round's beginning.
        datasite: Name of the hospital.
    """
    word = word_of(plan, state.round)
    if word is None:
        return state.weights
    return together(word, *cast(OwnArrays, strategy).sent(state, datasite))


def check_sends(strategy: Strategy, plan: TrainingPlan) -> None:
    """Refuses a strategy that sends hospitals, or averages, other arrays than the plan says, before anybody is asked.

    Raises:
        ConfigError: It sends arrays of their own and the plan has none, or the other way round; or it averages a shared
            part and the plan keeps none at the hospitals, or the other way round.
    """
    if keeps_part(plan) != isinstance(strategy, SharedPart):
        averages = "a shared part of the model" if isinstance(strategy, SharedPart) else "whole models"
        raise ConfigError(
            f"The strategy {type(strategy).__name__} averages {averages}, the plan's is {plan.server.strategy}. Name "
            "the strategy in the plan, which hospitals approve."
        )
    word = BESIDE.get(plan.server.strategy)
    if (word is not None) != isinstance(strategy, OwnArrays):
        told = "sends each hospital arrays of its own" if word is None else f"sends hospitals no {word}"
        raise ConfigError(
            f"The strategy {type(strategy).__name__} {told}, the plan's is {plan.server.strategy}. Name the strategy "
            "in the plan, which hospitals approve."
        )
