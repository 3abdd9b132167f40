"""Arrays that come in beside the global weights, where a plan's strategy sends each hospital some of its own.

They travel in the file of the round's weights, one for each parameter, under the strategy's word and a slash: so the
one digest of the ticket, the run and the ledger covers both. The first round has none, whatever the strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from policies.plans.server.server_spec import BESIDE

_T = TypeVar("_T")


def word_of(plan: Any, round_index: int) -> str | None:
    """What a round's own arrays are called, `correction` for example; None where a round of the plan has none.

    Args:
        plan: Of any kind; those that count send nothing beside weights.
        round_index: From 0.
    """
    server = getattr(plan, "server", None)
    return None if server is None or round_index == 0 else BESIDE.get(server.strategy)


def taken_in(plan: Any, round_index: int, parameters: Mapping[str, _T]) -> Mapping[str, _T]:
    """All that a round takes in: the model's parameters and, of the same forms, what its strategy sends beside them.

    Args:
        plan: The approved plan.
        round_index: From 0.
        parameters: Name → shape of each parameter of the plan's model.
    """
    word = word_of(plan, round_index)
    return parameters if word is None else together(word, parameters, parameters)


def together(word: str, weights: Mapping[str, _T], own: Mapping[str, _T]) -> dict[str, _T]:
    """The global weights and a hospital's own arrays as they travel.

    Args:
        word: Of the strategy.
        weights: Name → array of each parameter, or its shape.
        own: Likewise.
    """
    return {**weights, **{f"{word}/{name}": value for name, value in own.items()}}


def apart(plan: Any, round_index: int, arrays: Mapping[str, _T]) -> tuple[Mapping[str, _T], Mapping[str, _T]]:
    """The global weights and the hospital's own arrays of a round, each by the parameters' names; not checked.

    Args:
        plan: The approved plan.
        round_index: From 0.
        arrays: Name → array, as they came in.
    """
    word = word_of(plan, round_index)
    if word is None:
        return arrays, {}
    begin = f"{word}/"
    weights = {name: value for name, value in arrays.items() if not name.startswith(begin)}
    return weights, {name.removeprefix(begin): arrays[name] for name in arrays if name.startswith(begin)}
