"""Features of a frozen public backbone: what a plan says of them, and all that crosses the boundary about them.

A hospital computes them once with a public network whose weights are named by their digest, and keeps them beside its
pictures. They are as private as the pictures; a plan trains a head on them and names what they must be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Self

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


def width_of(model: ModelSpec) -> int | None:
    """How many features the linear head of a model reads; None of a model that is no head on features.

    Raises:
        PlanError: An option of a backbone's features that cannot be.
    """
    if model.name == SCATTERING_MODEL:
        return SCATTERING_WIDTH * model.image_shape[2]
    reads = FeatureSpec.of(model)
    return None if reads is None else reads.width
