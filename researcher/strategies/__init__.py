"""Strategies: make client updates the next global model. A strategy sees what hospitals released, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from policies import validate
from policies.errors import PlanError
from researcher.strategies.averager import Averager
from researcher.strategies.dp_fc import DpFc
from researcher.strategies.feature_gram import FeatureGram, released_digest
from researcher.strategies.fed_adagrad import FedAdagrad
from researcher.strategies.fed_adam import FedAdam
from researcher.strategies.fed_avg import FedAvg
from researcher.strategies.fed_nova import FedNova
from researcher.strategies.fed_yogi import FedYogi
from researcher.strategies.krum import Krum
from researcher.strategies.local_part.fed_bn import FedBn
from researcher.strategies.local_part.fed_per import FedPer
from researcher.strategies.local_part.shared_part import SharedPart
from researcher.strategies.order_statistics import CoordinateMedian, TrimmedMean
from researcher.strategies.per_hospital.kept_weights import KeptWeights
from researcher.strategies.per_hospital.mr_mtl import MrMtl
from researcher.strategies.per_hospital.scaffold import Scaffold
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import ClientUpdate, ServerState, Strategy, Weights, check_update, without

__all__ = [
    "STRATEGIES",
    "Averager",
    "ClientUpdate",
    "CoordinateMedian",
    "DpFc",
    "FeatureGram",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedBn",
    "FedNova",
    "FedPer",
    "FedYogi",
    "KeptWeights",
    "Krum",
    "MrMtl",
    "Scaffold",
    "ServerState",
    "ServerStep",
    "SharedPart",
    "Strategy",
    "TrimmedMean",
    "Weights",
    "build",
    "check_update",
    "released_digest",
    "without",
]

STRATEGIES: Mapping[str, Callable[..., Strategy]] = MappingProxyType(
    {
        **dict.fromkeys(("fed_avg", "fed_avg_m", "fed_prox"), FedAvg),
        "fed_nova": FedNova,
        "fed_adagrad": FedAdagrad,
        "fed_adam": FedAdam,
        "fed_yogi": FedYogi,
        "trimmed_mean": TrimmedMean,
        "coordinate_median": CoordinateMedian,
        "krum": Krum,
        "scaffold": Scaffold,
        "dp_fc": DpFc,
        "mr_mtl": MrMtl,
        "fed_per": FedPer,
        "fed_bn": FedBn,
    }
)
"""Name → frozen dataclass of settings with `init` and `apply`. A new algorithm: a file, and a line here.

FedAvgM and FedProx differ from FedAvg in settings alone: the server's momentum, and the pull at the hospital."""


def build(name: str, **options: Any) -> Strategy:
    """The strategy `name` with these settings.

    Raises:
        PlanError: No such strategy, a setting that it does not have, or a value out of range.
    """
    strategy = STRATEGIES[validate.choice("strategy", name, tuple(STRATEGIES))]
    known = [setting.name for setting in fields(strategy)]  # type: ignore[arg-type]
    if unknown := sorted(set(options) - set(known)):
        raise PlanError(f"Strategy {name} has no setting {unknown[0]!r}; it has {', '.join(known)}.")
    return strategy(**options)
