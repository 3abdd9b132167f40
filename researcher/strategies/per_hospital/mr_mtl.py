"""MR-MTL: every hospital has a model of its own, pulled to the mean of all, and made of released updates alone.

Liu, Hu, Wu, Smith, "On Privacy and Personalization in Cross-Silo Federated Learning", NeurIPS 2022: mean-regularised
multi-task learning. At the hospital the pull is added after the noise, so it costs no privacy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from policies import validate
from policies.errors import InputRefused, NotEnoughDatasites, PlanError
from researcher.strategies.per_hospital.kept_weights import KeptWeights, needed
from researcher.strategies.server_step import ServerStep, to_float32
from researcher.strategies.state import ClientUpdate, ServerState, Weights, check_update


@dataclass(frozen=True)
class MrMtl(ServerStep):
    """Keeps the model of each hospital; the global weights are their mean, weighted by public size.

    A hospital's update is added to the model that it started from: its own, or the mean as long as it has none. One
    that comes late is added likewise, since the hospital's model waited for it; of a hospital that has none yet, to the
    mean of now. One that has left for good has no model here any more: the mean that pulls the others is of those that
    are left.

    Attributes:
        mean_pull: The paper's lambda; the hospital reads it in the plan, and adds this much of the way from the mean to
            its own weights to each noised gradient. 0 trains each hospital alone.
    """

    mean_pull: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.number("mean_pull", self.mean_pull, low=0, high=1e3)
        for name, neutral in (("server_learning_rate", 1.0), ("server_momentum", 0.0), ("server_averaging", 0.0)):
            if getattr(self, name) != neutral:
                told = f"{name} is {getattr(self, name):g}, mr_mtl takes each hospital's update as it is."
                raise PlanError(f"{told} It must be {neutral:g}.")

    def sent(self, state: ServerState, datasite: str) -> tuple[Weights, Weights]:
        """The model that a hospital goes on from, and the mean that it is pulled to: name → array of its shape.

        Args:
            state: At the round's beginning.
            datasite: Name of the hospital.
        """
        return needed(state.kept).read(datasite) or state.weights, state.weights

    def apply(self, state: ServerState, updates: Iterable[ClientUpdate]) -> ServerState:
        """The state after one round; `state` itself stays as it is, and so do its files.

        Args:
            state: As of `ServerStep.apply`, with a place to keep weights.
            updates: Likewise.

        Raises:
            InputRefused: As `ServerStep.apply`, and for a second update of a datasite.
            NotEnoughDatasites: There was none.
            ConfigError: The state has no place to keep weights, or it cannot be read or written.
        """
        kept, came = needed(state.kept), set[str]()
        for update in updates:
            if update.datasite in came:
                raise InputRefused(f"{update.datasite!r} sent two client updates in one round, expected one.")
            check_update(update, state.weights)
            came.add(update.datasite)
            start, _ = self.sent(state, update.datasite)
            model = {
                name: to_float32(name, np.add(start[name], array, dtype=np.float64))
                for name, array in update.update.items()
            }
            kept = kept.with_one(update.datasite, model, public_size=update.weight)
        if not came:
            raise NotEnoughDatasites("A round needs at least one client update, none came.")
        return ServerState(_mean(kept), state.round + 1, kept=kept)

    def without(self, state: ServerState, datasites: Collection[str]) -> ServerState:
        """The state once hospitals have left for good; where nothing is kept of them, or of nobody else, as it is.

        Args:
            state: After a round.
            datasites: Names of all that have left.

        Raises:
            ConfigError: As `apply`.
        """
        kept = needed(state.kept)
        left = kept.without(datasites)
        stays = not left.hospitals or len(left.hospitals) == len(kept.hospitals)
        return state if stays else replace(state, weights=_mean(left), kept=left)


def _mean(kept: KeptWeights) -> Weights:
    return {name: to_float32(name, array) for name, array in kept.mean().items()}
