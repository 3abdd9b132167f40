"""Features of pictures, which a hospital computes once and keeps: what a plan says of them, and no more crosses.

They come of a frozen public network whose weights are named by their digest, or of the scattering transform, which has
none. Kept, they are as private as the pictures. A plan of model `features` trains a head on them and names what they
must be; one of `scattering_linear` names a transform, and a hospital reads what it keeps of that or computes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from policies import validate
from policies.errors import PlanError
from policies.plans.model_spec import ModelSpec
from policies.plans.plan_json import canonical_json, sha256_text

FEATURES_MODEL = "features"
# timm's name of a network → how many features it gives.
BACKBONES = {
    "efficientnet_lite0": 1280,
    "mobilenetv3_large_100": 1280,
    "mobilenetv3_small_100": 1024,
    "resnet18": 512,
    "resnet50": 2048,
    "resnet50_gn": 2048,
    "vit_small_patch16_224": 384,
}
SCATTERING_MODEL = "scattering_linear"
SCATTERING_WIDTH = 235
"""How many scattering features each channel of a picture becomes."""
SCATTERING_SIZE = 32
"""Side in pixels to which pictures are scaled before the transform, where a plan names no other."""
SCATTERING_BACKBONE = "scattering"
SCATTERING_VERSION = 1
"""Of the transform with its reference pictures: one more whenever features come to mean anything else."""
# How bytes became numbers where weights were made: mean and standard deviation of (byte / 255), by channel.
NORMALISATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass(frozen=True)
class FeatureSpec:
    """Which features: everything that they follow from, besides the pictures.

    Attributes:
        backbone: A name from `BACKBONES`.
        weights_sha256: Of the file with the backbone's public weights, in hexadecimal.
        input_size: Side in pixels to which pictures are resized before.
        normalisation: A name from `NORMALISATIONS`.
    """

    backbone: str
    weights_sha256: str
    input_size: int = 224
    normalisation: str = "imagenet"

    def __post_init__(self) -> None:
        validate.choice("model.options.backbone", self.backbone, tuple(BACKBONES))
        validate.digest("model.options.weights_sha256", self.weights_sha256)
        validate.integer("model.options.input_size", self.input_size, low=32, high=512)
        validate.choice("model.options.normalisation", self.normalisation, tuple(NORMALISATIONS))

    @classmethod
    def of(cls, model: ModelSpec) -> Self | None:
        """What a model reads instead of pictures; None where it reads the pictures themselves.

        Raises:
            PlanError: An unknown or missing option, or one out of range; pictures that no backbone takes.
        """
        if model.name != FEATURES_MODEL:
            return None
        if model.options.get("backbone") == SCATTERING_BACKBONE:
            raise PlanError(
                "Scattering features are asked for by model 'scattering_linear': a hospital that keeps them reads them "
                "there, any other computes them. Name that model."
            )
        known = ("backbone", "input_size", "normalisation", "weights_sha256")
        if unknown := sorted(set(model.options) - set(known)):
            raise PlanError(f"Model {model.name!r} has no option {unknown[0]!r}; it takes {', '.join(known)}.")
        for needed in ("backbone", "weights_sha256"):
            if needed not in model.options:
                raise PlanError(f"Model {model.name!r} needs model.options.{needed}. Take both from the hospital.")
        if model.image_shape[2] not in (1, 3):
            raise PlanError(f"A backbone takes pictures of 1 or 3 channels, these have {model.image_shape[2]}.")
        options: dict = dict(model.options)
        return cls(**options)

    @property
    def width(self) -> int:
        """How many numbers there are for each picture."""
        return BACKBONES[self.backbone]

    @property
    def key(self) -> str:
        """Names these features; another value of any attribute gives another."""
        return f"{self.backbone}-{sha256_text(canonical_json(asdict(self)))[:16]}"

    @property
    def options(self) -> dict[str, str | int | float | bool]:
        """The options of a model that reads them."""
        return asdict(self)

    @property
    def told(self) -> str:
        """All of it in words."""
        digest = f"{self.weights_sha256[:16]}..."
        return f"{self.backbone} with weights {digest}, {self.input_size} pixels, {self.normalisation}"


@dataclass(frozen=True)
class ScatteringSpec:
    """Which scattering features a hospital keeps. No plan names one: a hospital reads what it keeps, or computes it.

    Attributes:
        input_size: Side in pixels to which pictures are scaled before the transform.
        channels: Of the pictures.
        version: Of the transform. It stands for its numbers, which are public code and drawn pictures: these differ in
            their last bits from processor to processor, so a digest of them would name a machine.
        backbone: Always `SCATTERING_BACKBONE`, in the place of a network's name.
    """

    input_size: int
    channels: int
    version: int = SCATTERING_VERSION
    backbone: str = SCATTERING_BACKBONE

    def __post_init__(self) -> None:
        validate.integer("input_size", self.input_size, low=24, high=128)
        validate.integer("channels", self.channels, low=1, high=4)
        validate.integer("version", self.version, low=1, high=1000)
        validate.choice("backbone", self.backbone, (SCATTERING_BACKBONE,))

    @property
    def width(self) -> int:
        """How many numbers there are for each picture."""
        return SCATTERING_WIDTH * self.channels

    @property
    def key(self) -> str:
        """Names these features; another value of any attribute gives another."""
        return f"{self.backbone}-{sha256_text(canonical_json(asdict(self)))[:16]}"

    @property
    def told(self) -> str:
        """All of it in words."""
        return f"scattering of {self.input_size} pixels and {self.channels} channels, version {self.version}"

    def head(self, model: ModelSpec) -> ModelSpec:
        """The head of a `scattering_linear` alone, with the same parameters: what a run trains on kept features."""
        return replace(model, name=FEATURES_MODEL, options=asdict(self))


KeptSpec = FeatureSpec | ScatteringSpec


def kept_spec(values: Mapping[str, Any]) -> KeptSpec:
    """Which features these attributes name, as `dataclasses.asdict` wrote them.

    Raises:
        PlanError: A value out of range.
        TypeError: An attribute is missing, or there is none of that name.
    """
    return (ScatteringSpec if values.get("backbone") == SCATTERING_BACKBONE else FeatureSpec)(**values)


def features_read(model: ModelSpec) -> KeptSpec | None:
    """Which kept features a model's run reads instead of pictures; None where it reads the pictures themselves.

    Raises:
        PlanError: An option of the features that cannot be.
    """
    if model.name == FEATURES_MODEL and model.options.get("backbone") == SCATTERING_BACKBONE:
        return kept_spec(model.options)
    return FeatureSpec.of(model)


def width_of(model: ModelSpec) -> int | None:
    """How many features the linear head of a model reads; None of a model that is no head on features.

    Raises:
        PlanError: An option of a backbone's features that cannot be.
    """
    if model.name == SCATTERING_MODEL:
        return SCATTERING_WIDTH * model.image_shape[2]
    reads = features_read(model)
    return None if reads is None else reads.width
