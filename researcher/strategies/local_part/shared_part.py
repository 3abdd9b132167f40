"""The shared part of a model, averaged as ever. What stays at the hospitals never comes here, and costs the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from policies.errors import InputRefused, NotEnoughDatasites
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import AVERAGE, ClientUpdate, ServerState, Weights


@dataclass(frozen=True)
class SharedPart(ServerStep):
    """Moves the shared parameters by their weighted mean update; the others stay what the study began with.

    All client updates hold the same parameters, and fewer than the model has: which they are follows from the plan, and
    each update was held against it when it came. A hospital begins with the other parameters, the local part, as they
    were sent, and from its second round on with its own.
    """

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round; `state` itself stays as it is.

        Args:
            state: Of the whole model.
            updates: As of `ServerStep.apply`, of the shared parameters alone.

        Raises:
            InputRefused: As `ServerStep.apply`, with the first update's parameters for the model's; or that update
                holds a parameter that the model has not, all that it has, or none.
            NotEnoughDatasites: There was none.
        """
        coming = iter(updates)
        first = next(coming, None)
        if first is None:
            raise NotEnoughDatasites("A mean needs at least one client update, none was added.")
        names = first.update.keys()
        if not names or not names < state.weights.keys():
            raise InputRefused(
                f"The client update of {first.datasite!r} must hold the parameters that hospitals share, a part of the "
                f"model's, got {', '.join(sorted(names)) or 'none'}."
            )
        slots = {slot: _of(arrays, names) for slot, arrays in state.slots.items()}
        after = super().apply(replace(state, weights=_of(state.weights, names), slots=slots), chain([first], coming))
        slots = dict(after.slots)
        if AVERAGE in slots:
            slots[AVERAGE] = {**state.weights, **slots[AVERAGE]}
        return replace(after, weights={**state.weights, **after.weights}, slots=slots)


def _of(arrays: Weights, names: Iterable[str]) -> Weights:
    return {name: arrays[name] for name in names}
