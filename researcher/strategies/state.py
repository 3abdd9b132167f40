"""The state of a strategy between rounds: global weights and client updates, all of it already released."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from policies.contracts.weights import FiniteArrays, is_finite
from policies.contracts.weights_file import AtRest
from policies.errors import InputRefused
from researcher.strategies.per_hospital.kept_weights import KeptWeights

Weights = dict[str, np.ndarray]
AVERAGE = "average"  # the slot of weights averaged over rounds


@dataclass(frozen=True)
class ClientUpdate:
    """What one datasite released in one round.

    Attributes:
        datasite: Name of the datasite.
        update: Trained minus global weights, name → float32 array of the global weight's shape.
        weight: The hospital's public size; never the true number of its pictures.
        staleness: Rounds that ended between the weights that it was trained from and those that it is added to; 0 for
            an update that came within its round.
        steps: Optimiser steps that the hospital took for it.
        summed_rates: The sum of the learning rates of these steps; 0 where nobody reads it.
    """

    datasite: str
    update: Mapping[str, np.ndarray]
    weight: float
    staleness: int = 0
    steps: int = 1
    summed_rates: float = 0.0


def check_update(update: ClientUpdate, like: Mapping[str, np.ndarray]) -> None:
    """Refuses an update that cannot be averaged into weights with the names and shapes of `like`.

    Values that were found finite when they came in, and could not be written to since, are not looked at again.

    Raises:
        InputRefused: A weight that is not positive and finite; a staleness below 0; no step; names, shapes or dtypes
            other than declared; a value that is not finite.
    """
    who = f"The client update of {update.datasite!r}"
    if not math.isfinite(update.weight) or update.weight <= 0:
        raise InputRefused(f"{who} needs a weight above 0, its public size, got {update.weight!r}.")
    if update.staleness < 0:
        raise InputRefused(f"{who} cannot be ahead of its round, got staleness {update.staleness}.")
    if update.steps < 1:
        raise InputRefused(f"{who} is of at least one step, got {update.steps}.")
    if missing := sorted(like.keys() - update.update.keys()):
        raise InputRefused(f"{who} lacks {missing[0]!r}; it must hold every parameter of the global model.")
    if unknown := sorted(update.update.keys() - like.keys()):
        raise InputRefused(f"{who} holds {unknown[0]!r}, which the global model does not have.")
    arrays = update.update
    if isinstance(arrays, AtRest):
        if wrong := [name for name in arrays if arrays.part(name).shape != like[name].shape]:
            shapes = f"float32 {like[wrong[0]].shape}, got {arrays.part(wrong[0]).shape}"
            raise InputRefused(f"{who} must hold {wrong[0]!r} as {shapes}.")
        return  # its values were looked at, and are again as they are read
    known_finite = arrays.is_known if isinstance(arrays, FiniteArrays) else lambda name: False
    for name, array in arrays.items():
        shape = like[name].shape
        if array.shape != shape or array.dtype != np.float32:
            raise InputRefused(f"{who} must hold {name!r} as float32 {shape}, got {array.dtype} {array.shape}.")
        if not (known_finite(name) or is_finite(array)):
            raise InputRefused(f"{who} holds a value in {name!r} that is not finite; leave it out.")


@dataclass(frozen=True)
class ServerState:
    """All that a strategy needs to go on; saving it is a checkpoint.

    Attributes:
        weights: The global model, name → float32 array.
        round: Rounds applied so far; 0 before the first.
        slots: What else a strategy remembers, such as `{"momentum": {name: float32 array}}`.
        kept: What it keeps of each hospital, in files; None where it keeps nothing.
    """

    weights: Weights
    round: int = 0
    slots: Mapping[str, Weights] = field(default_factory=dict)
    kept: KeptWeights | None = None

    @property
    def model(self) -> Weights:
        """The weights to evaluate and to give away: the average over rounds where there is one, else the last."""
        return self.slots.get(AVERAGE, self.weights)


class Strategy(Protocol):
    """An averaging algorithm: pure functions on an explicit state, itself frozen settings."""

    def init(self, weights: Mapping[str, np.ndarray]) -> ServerState:
        """Returns the state before the first round.

        Args:
            weights: Name → float32 array, each of its parameter's shape.
        """
        ...

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round with these updates, read one at a time."""
        ...


def without(strategy: Strategy, state: ServerState, datasites: Collection[str]) -> ServerState:
    """The state once hospitals have left a study for good, by the strategy's `without`; as it is where it has none.

    Args:
        strategy: That made the state.
        state: After a round.
        datasites: Names of all that have left.
    """
    forget = getattr(strategy, "without", None)
    return forget(state, datasites) if forget is not None else state
