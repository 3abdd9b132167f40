"""The researcher's side in a training plan: which strategy makes client updates the next global model, and how.

All of them work on client updates that hospitals released, so none costs privacy. What a strategy changes at the
hospital, such as FedProx's pull, is a setting of the plan that the hospital reads for itself; what it sends a hospital
beside the global weights, such as SCAFFOLD's correction, follows from its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from policies import validate
from policies.errors import PlanError
from policies.plans.model_spec import ModelSpec
from policies.plans.plan_json import ADDED_LATER
from policies.plans.ranges import PROXIMAL_MU, Range
from policies.plans.server.local_part import LOCAL, check_local
from policies.settings import declared, setting

MOST_HOSPITALS = 10_000
STRATEGIES = (
    *("fed_avg", "fed_avg_m", "fed_prox", "fed_nova", "fed_adagrad", "fed_adam", "fed_yogi"),
    *("trimmed_mean", "coordinate_median", "krum", "dp_fc", "scaffold", "mr_mtl"),
    *LOCAL,
)
BY_A_GRAM = "dp_fc"
"""The strategy that steps by a Gram matrix, which is a request of its own."""
BESIDE: Mapping[str, str] = MappingProxyType({"scaffold": "correction", "mr_mtl": "anchor"})
"""Strategies that send each hospital arrays of its own beside the global weights → what these are called."""
PERSONAL = ("mr_mtl",)
"""Strategies by which every hospital has a model of its own, and starts its rounds from it."""
OF_SOME: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "server_second_momentum": ("fed_adam", "fed_yogi"),
        "server_adaptivity": ("fed_adagrad", "fed_adam", "fed_yogi"),
        "trimmed_share": ("trimmed_mean",),
        "faulty_hospitals": ("krum",),
        "averaged_hospitals": ("krum",),
        "server_ridge": ("dp_fc",),
        "mean_pull": ("mr_mtl",),
    }
)
"""Settings that only some strategies read → these. Elsewhere they have to hold their default."""
_NAMED_FOR = {"fed_avg_m": "server_momentum", "fed_prox": "proximal_mu"}
_RATE_OF_ADAPTIVE = 0.01
_LEARNING_RATE = Range(1e-9, 1e4)
_ADAPTIVITY = Range(1e-9, 1e3)
_RIDGE = Range(1e-6, 1e9)
_OF_MR_MTL = {"server_learning_rate": 1.0, "server_momentum": 0.0, "server_averaging": 0.0, "proximal_mu": 0.0}
WITHOUT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fed_adagrad": ("server_momentum",), "scaffold": ("momentum", "proximal_mu"), "mr_mtl": tuple(_OF_MR_MTL)}
)
"""Strategies → settings of the plan that they do not have: these have to hold the value that changes nothing."""


@dataclass(frozen=True)
class ServerSpec:
    """Which strategy the researcher's side follows, beside the plan's `server_momentum` and `server_averaging`."""

    strategy: str = setting(
        "how client updates become the next global model; post-processing, at no cost of privacy",
        default="fed_avg",
        choices=STRATEGIES,
    )
    server_learning_rate: float | None = setting(
        "factor on what the strategy makes of the client updates; if not given 1, which takes it as it is, and 0.01 "
        "with fed_adagrad, fed_adam and fed_yogi, whose steps have size 1",
        default=None,
        kind=float,
    )
    server_second_momentum: float = setting(
        "of fed_adam and fed_yogi: share of the last mean square that is kept, in [0, 1)", default=0.99
    )
    server_adaptivity: float = setting(
        "of fed_adagrad, fed_adam and fed_yogi: added to the root mean square that a step is divided by; the smaller, "
        "the more each weight has a step size of its own",
        default=1e-3,
    )
    trimmed_share: float = setting(
        "of trimmed_mean: share of each weight's values that is left out at either end, below 0.5", default=0.1
    )
    faulty_hospitals: int = setting(
        "of krum: how many hospitals' updates may be anything; a round needs twice as many updates and three", default=1
    )
    averaged_hospitals: int = setting(
        "of krum: how many updates are averaged, those that lie closest to others", default=1
    )
    server_ridge: float = setting(
        "of dp_fc: added to the eigenvalues of the features' Gram matrix before steps are multiplied by its inverse; "
        "the more, the shorter a step in directions that are mostly noise",
        default=1.0,
        metadata=ADDED_LATER,
    )
    mean_pull: float = setting(
        "of mr_mtl: how strongly each hospital's model is pulled towards the mean of all, the paper's lambda; 0 trains "
        "each hospital alone",
        default=0.1,
        metadata=ADDED_LATER,
    )

    def __post_init__(self) -> None:
        validate.choice("strategy", self.strategy, STRATEGIES)
        rate = self.server_learning_rate
        if rate is None:
            rate = _RATE_OF_ADAPTIVE if self.strategy in OF_SOME["server_adaptivity"] else 1.0
        for name, value in (
            ("server_learning_rate", _LEARNING_RATE.check("server_learning_rate", rate)),
            ("server_second_momentum", _share("server_second_momentum", self.server_second_momentum, below=1)),
            ("server_adaptivity", _ADAPTIVITY.check("server_adaptivity", self.server_adaptivity)),
            ("server_ridge", _RIDGE.check("server_ridge", self.server_ridge)),
            ("trimmed_share", _share("trimmed_share", self.trimmed_share, below=0.5)),
            ("mean_pull", PROXIMAL_MU.check("mean_pull", self.mean_pull)),
        ):
            object.__setattr__(self, name, value)
        validate.integer("faulty_hospitals", self.faulty_hospitals, low=0, high=MOST_HOSPITALS)
        validate.integer("averaged_hospitals", self.averaged_hospitals, low=1, high=MOST_HOSPITALS)
        for name, readers in OF_SOME.items():
            value = getattr(self, name)
            if self.strategy not in readers and value != declared(ServerSpec)[name].default:
                raise PlanError(
                    f"{name} is {value:g}, which strategy {self.strategy} does not read: it is for "
                    f"{' and '.join(readers)}. Leave it out, or choose another strategy."
                )

    def check_beside(
        self, *, model: ModelSpec, server_momentum: float, server_averaging: float, proximal_mu: float, momentum: float
    ) -> None:
        """Refuses a plan whose other settings are not those of its strategy.

        Args:
            model: The plan's.
            server_momentum: The plan's.
            server_averaging: The plan's.
            proximal_mu: The plan's.
            momentum: The plan's, at the hospital.

        Raises:
            PlanError: A setting is zero that the strategy is named for, or one is given that it does not have; or the
                strategy keeps a part of each model at its hospital, and this model has no such part.
        """
        check_local(self.strategy, model)
        given: dict[str, float] = {"server_momentum": server_momentum, "proximal_mu": proximal_mu}
        if (needed := _NAMED_FOR.get(self.strategy)) and not given[needed]:
            raise PlanError(f"{needed} is 0, so {self.strategy} would be fed_avg. Set {needed}, or choose fed_avg.")
        if self.strategy == "fed_adagrad" and server_momentum:
            raise PlanError(f"server_momentum is {server_momentum:g}, fed_adagrad keeps none. Set it to 0.")
        if self.strategy == "scaffold":
            for name, value in (("momentum", momentum), ("proximal_mu", proximal_mu)):
                if value:
                    raise PlanError(
                        f"{name} is {value:g}, but scaffold learns a hospital's mean gradient from its update, which "
                        f"{name} would change. Set it to 0, or choose another strategy."
                    )

        if self.strategy == "mr_mtl":
            given |= {"server_averaging": server_averaging, "server_learning_rate": self.server_learning_rate or 0.0}
            for name, neutral in _OF_MR_MTL.items():
                if given[name] != neutral:
                    raise PlanError(
                        f"{name} is {given[name]:g}, but with mr_mtl a hospital's model is what its updates made of "
                        f"it, pulled by mean_pull alone. Set it to {neutral:g}, or choose another strategy."
                    )

    @property
    def by_a_gram(self) -> bool:
        """Whether its rounds step by a Gram matrix, which is a request of its own."""
        return self.strategy == BY_A_GRAM

    @property
    def read(self) -> dict[str, float]:
        """The settings that the strategy reads, name → value."""
        return {
            name: getattr(self, name)
            for name in declared(ServerSpec)
            if name != "strategy" and self.strategy in OF_SOME.get(name, STRATEGIES)
        }


def _share(name: str, value: Any, *, below: float) -> float:
    return validate.number(name, value, low=0, high=below, open_high=True)
