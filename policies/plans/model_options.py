"""Options of models, each with its range: what a plan may say of a model, checked without building it.

The one table of them. A datasite holds submitted plans against it, which takes no torch and no time, and the models
take their settings from it. `features` names its options in `policies.plans.features`, and reports theirs in
`policies.plans.tokeniser`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies import validate
from policies.errors import PlanError
from policies.plans.features import (
    FEATURES_MODEL,
    SCATTERING_MODEL,
    SCATTERING_SIZE,
    FeatureSpec,
    KeptSpec,
    ScatteringSpec,
    features_read,
)
from policies.plans.kinds import Plan
from policies.plans.model_spec import GRAPH_MODEL, ModelSpec
from policies.plans.releases import StatisticsPlan
from policies.plans.tokeniser import TEXT_MODELS, text_form
from policies.plans.training import TrainingPlan


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, a multiple of `step`."""

    default: int
    low: int
    high: int
    step: int = 1

    def check(self, field: str, value: Any) -> int:
        """Returns the value, or raises PlanError."""
        number = validate.integer(field, value, low=self.low, high=self.high)
        if number % self.step:
            raise PlanError(f"{field} must be a multiple of {self.step}, got {number}.")
        return number


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`."""

    default: float
    low: float
    high: float

    def check(self, field: str, value: Any) -> float:
        """Returns the value, or raises PlanError."""
        return validate.number(field, value, low=self.low, high=self.high)


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    default: str
    words: tuple[str, ...]

    def check(self, field: str, value: Any) -> str:
        """Returns the value, or raises PlanError."""
        return validate.choice(field, value, self.words)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    default: bool

    def check(self, field: str, value: Any) -> bool:
        """Returns the value, or raises PlanError."""
        return validate.boolean(field, value)


Option = Whole | Number | Choice | Flag
_STEM = Choice("auto", ("auto", "standard", "small"))
_RESNET: Mapping[str, Option] = {"width": Whole(64, 8, 256, step=8), "stem": _STEM}
_MOBILENET: Mapping[str, Option] = {"width": Number(1.0, 0.5, 2.0), "stem": _STEM}

PICTURE_MODELS: Mapping[str, Mapping[str, Option]] = {
    "efficientnet_lite0": {"width": Number(1.0, 0.25, 2.0), "stem": _STEM},
    "linear": {"bias": Flag(True)},
    "mobilenet_v3_large": _MOBILENET,
    "mobilenet_v3_small": _MOBILENET,
    "resnet18": _RESNET,
    "resnet50": _RESNET,
    "scattering_linear": {"size": Whole(SCATTERING_SIZE, 24, 128, step=8)},
    "small_cnn": {"activation": Choice("tanh", ("tanh", "relu")), "width": Whole(16, 4, 256, step=4)},
    "vit_small": {
        "patch_size": Whole(0, 0, 32),
        "depth": Whole(12, 1, 24),
        "width": Whole(384, 64, 1024, step=64),
    },
}
TEXT_FORM_OPTIONS = ("text_length", "tokeniser", "vocabulary")
TEXT_OPTIONS: Mapping[str, Option] = {
    "picture_encoder": Choice("small_cnn", tuple(sorted(PICTURE_MODELS))),
    "text_features": Whole(32, 4, 1024),
    "window": Whole(1, 1, 8),
}
MODELS = tuple(sorted((*PICTURE_MODELS, *TEXT_MODELS, FEATURES_MODEL)))


def check_options(model: ModelSpec) -> None:
    """Returns if the plan names a model that exists, with options that it takes, or carries a graph.

    Raises:
        PlanError: An unknown model or option, one that is missing, or one out of range.
    """
    if model.is_own:
        return  # its graph is read and proved by `policies.graphs.own_model`
    if model.name not in MODELS:
        raise PlanError(f"Unknown model {model.name!r}; known are {', '.join((*MODELS, GRAPH_MODEL))}.")
    if model.name in TEXT_MODELS:
        text_form(model)
        text_options(model)
        options_of(picture_encoder(model) or model)
    elif FeatureSpec.of(model) is None:
        options_of(model)


def check_features(plan: Plan) -> KeptSpec | None:
    """What the plan's model reads instead of pictures, if it reads features.

    Raises:
        PlanError: The plan's model names no features that can be, or the plan changes pictures that are not read.
    """
    if isinstance(plan, StatisticsPlan):
        return None
    spec = features_read(plan.model)
    if spec is not None and isinstance(plan, TrainingPlan) and plan.augmentation != "none":
        raise PlanError(
            f"Features are computed once, from pictures as they are: augmentation must be 'none', got "
            f"{plan.augmentation!r}."
        )
    return spec


def scattering_of(plan: Plan) -> ScatteringSpec | None:
    """Which scattering features a hospital may keep for a plan; None where the plan's model reads no such features.

    None too where pictures are changed at random: what is kept is of pictures as they are.
    """
    if isinstance(plan, StatisticsPlan) or plan.model.name != SCATTERING_MODEL:
        return None
    if isinstance(plan, TrainingPlan) and plan.augmentation != "none":
        return None
    return ScatteringSpec(options_of(plan.model)["size"], plan.model.image_shape[2])


def options_of(model: ModelSpec) -> dict[str, Any]:
    """All options of a model for pictures: those that the plan names, the others' defaults.

    Raises:
        PlanError: The plan names an option that the model does not have, or a value out of range.
    """
    known = PICTURE_MODELS[model.name]
    if unknown := sorted(set(model.options) - set(known)):
        raise PlanError(f"Model {model.name!r} has no option {unknown[0]!r}; it takes {', '.join(sorted(known))}.")
    return _checked(model, known)


def text_options(model: ModelSpec) -> dict[str, Any]:
    """The options of a model of pictures and reports that are neither its reports' form nor its encoder's.

    Raises:
        PlanError: A value out of range.
    """
    return _checked(model, TEXT_OPTIONS)


def picture_encoder(model: ModelSpec) -> ModelSpec | None:
    """The model that encodes the pictures of a model of pictures and reports; None for every other model.

    Raises:
        PlanError: `picture_encoder` names no model for pictures.
    """
    if model.name not in TEXT_MODELS:
        return None
    own = {*TEXT_OPTIONS, *TEXT_FORM_OPTIONS}
    others = {name: value for name, value in model.options.items() if name not in own}
    return ModelSpec(text_options(model)["picture_encoder"], model.image_shape, model.num_classes, others)


def _checked(model: ModelSpec, known: Mapping[str, Option]) -> dict[str, Any]:
    given = model.options
    return {
        name: option.check(f"model.options.{name}", given.get(name, option.default)) for name, option in known.items()
    }
