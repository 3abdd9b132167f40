"""The local part of a model: the parameters that a plan's strategy keeps at each hospital. They never cross its wall.

Which they are follows from the strategy, the model and the names of its parameters. Hospital and researcher compute it
by this one function, so neither side can be told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from policies.errors import PlanError
from policies.plans.model_spec import ModelSpec

_T = TypeVar("_T")
LOCAL = ("fed_per", "fed_bn")
"""Strategies that keep a part of the model at each hospital: the last layer, or the norms' scales and shifts."""

_MOBILENET = r"features\.\d+(\.block\.\d+)?\.1"
_RESNET = r"(.*\.)?(bn\d|downsample\.1)"
_PLACES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "fed_per": {
            "efficientnet_lite0": "classifier",
            "image_text": "head",
            "mobilenet_v3_large": r"classifier\.3",
            "mobilenet_v3_small": r"classifier\.3",
            "resnet18": "fc",
            "resnet50": "fc",
            "small_cnn": "head",
            "vit_small": "head",
        },
        "fed_bn": {
            "efficientnet_lite0": r"(.*\.)?bn\d\.norm",
            "mobilenet_v3_large": _MOBILENET,
            "mobilenet_v3_small": _MOBILENET,
            "resnet18": _RESNET,
            "resnet50": _RESNET,
            "small_cnn": r"norm_\d",
            "vit_small": r"(blocks\.\d+\.)?norm\d?",
        },
    }
)
"""Strategy → model → what the names of the layers match whose parameters stay. Other models keep nothing back."""
_LACKS = {"fed_per": "layers below its last one that are trained", "fed_bn": "norms with scales and shifts"}


def check_local(strategy: str, model: ModelSpec) -> None:
    """Refuses a model of which a strategy could keep no part, or would keep all.

    Args:
        strategy: Any strategy's name.
        model: The plan's model.

    Raises:
        PlanError: It has nothing to share beside its last layer, or no norms.
    """
    if strategy in LOCAL and _layers(strategy, model) is None:
        raise PlanError(
            f"Strategy {strategy} needs {_LACKS[strategy]}, and model {model.name!r} has none that are known. Choose "
            f"another strategy, or one of the models {', '.join(sorted(_PLACES[strategy]))}."
        )


def keeps_part(plan: Any) -> bool:
    """Whether the plan's strategy keeps a part of the model at each hospital; plans that release sums have none."""
    server = getattr(plan, "server", None)
    return server is not None and server.strategy in LOCAL


def local_names(plan: Any, names: Iterable[str]) -> frozenset[str]:
    """The parameters that stay at each hospital, of those with these names; none for most strategies.

    Args:
        plan: Of any kind; those that release sums keep nothing back.
        names: Of all parameters of the plan's model.
    """
    layers = _layers(plan.server.strategy, plan.model) if keeps_part(plan) else None
    if layers is None:
        return frozenset()
    return frozenset(name for name in names if layers.fullmatch(name.rpartition(".")[0]))


def shared(plan: Any, parameters: Mapping[str, _T]) -> dict[str, _T]:
    """The parameters of which a hospital releases its changes: all but the local ones.

    Args:
        plan: Of any kind.
        parameters: Name → whatever is known of each parameter of its model.
    """
    stays = local_names(plan, parameters)
    return {name: value for name, value in parameters.items() if name not in stays}


def local(plan: Any, parameters: Mapping[str, _T]) -> dict[str, _T]:
    """The parameters that stay, of the same; empty for most strategies.

    Args:
        plan: Of any kind.
        parameters: As of `shared`.
    """
    stays = local_names(plan, parameters)
    return {name: value for name, value in parameters.items() if name in stays}


def _layers(strategy: str, model: ModelSpec) -> re.Pattern[str] | None:
    """What the names of the layers match whose parameters stay."""
    place = _PLACES[strategy].get(model.name)
    if model.name == "image_text" and strategy == "fed_bn":
        encoder = _PLACES[strategy].get(str(model.options.get("picture_encoder", "small_cnn")))
        place = r"text\.norm" if encoder is None else rf"text\.norm|picture\.({encoder})"
    return None if place is None else re.compile(place)
