"""The declared type of what an exported model's file says of itself. Released facts only, none of a single patient.

An ONNX file holds it in its `metadata_props`, one property for each field: `wanwu.` and the field's name, with a value
in JSON. Files of other forms hold the same properties where their form has a place for them, else in a file beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from policies import validate
from policies.answers import rounded
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ModelRefused, PlanError
from policies.plans.features import FeatureSpec
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import LABEL_KINDS, PictureForm
from policies.plans.plan_json import canonical_json
from policies.plans.tokeniser import TextForm, text_form

ABOUT_VERSION = 1
PREFIX = "wanwu."
PROMISE = f"{PREFIX}promise"
FORMATS = ("onnx", "onnx-int8", "litert", "coreml", "executorch")
MAX_PROPERTY = 1 << 20
_MAX_SENTENCE = 2000


def _digests(checks: validate.Checks, name: str, values: Sequence[str]) -> Sequence[str]:
    for value in values:
        checks.digest(name, value)
    return values


def _labels(checks: validate.Checks, name: str, values: Sequence[str]) -> Sequence[str]:
    for value in values:
        checks.label(name, value)
    return values


def _sentence(checks: validate.Checks, name: str, value: str) -> str:
    return checks.text(name, value, most=_MAX_SENTENCE)


def _digest(checks: validate.Checks, name: str, value: str) -> str:
    return checks.digest(name, value)


@dataclass(frozen=True)
class PrivacyCost:
    """What a hospital's ledger says the model cost there: (epsilon, delta) per `unit`, a picture or a patient."""

    epsilon: float
    delta: float
    unit: Annotated[str, validate.one_of("picture", "patient")]


@dataclass(frozen=True)
class Likeness:
    """How the file's outputs were held against the torch model's, when it was made.

    Attributes:
        max_abs_difference: Largest difference of any probability.
        agreement: Share of pictures, or of findings, that both decide alike.
        pictures: How many pictures were compared.
        compared_on: Where these came from, in words.
        accuracy: Of the file on these pictures; None where nobody knows their labels.
        accuracy_float: Of the torch model, likewise.
    """

    max_abs_difference: float
    agreement: float
    pictures: int
    compared_on: Annotated[str, _sentence]
    accuracy: float | None = None
    accuracy_float: float | None = None


@dataclass(frozen=True)
class Quantisation:
    """How weights and activations became whole numbers of 8 bits.

    Attributes:
        calibrated_on: Whose ranges the activations have, in words: public or made pictures, never private ones.
        pictures: How many.
        quantised: Layers whose products are of whole numbers.
        left_in_float: Layers that stayed as they were, because quantised they cost too much.
        cost_of_all: Accuracy, or agreement where there are no labels, that quantising every layer would have lost.
    """

    calibrated_on: Annotated[str, _sentence]
    pictures: int
    quantised: int
    left_in_float: tuple[str, ...] = ()
    cost_of_all: float = 0.0


@dataclass(frozen=True)
class ExportedModel:
    """What an exported model's file says of itself.

    Attributes:
        format: Of the file, one of `FORMATS`.
        name: The model's, as the plan has it.
        options: Of that model, as the plan has them.
        image_shape: (height, width, channels) of the pictures that go in.
        label_kind: `single`: the probabilities of a picture's classes add up to 1; `multi`: each class is a finding.
        class_names: Of the outputs, in order.
        form: How a file becomes such a picture; None where the hospitals' pictures came as arrays.
        round: Rounds that went into the weights.
        model_sha256: Of the safetensors file that was exported.
        plan_digest: Of the plan that the hospitals approved.
        receipts: SHA-256 of each hospital's signed receipt, as far as the study's folder held them.
        privacy: What the model cost at each hospital that trained it privately, without the hospitals' names.
        without_privacy: At how many hospitals it was trained without differential privacy.
        written_by: Name and version of the program that wrote the file.
        likeness: To the torch model; None only while the file is being made.
        quantisation: Of an int8 file.
        version: Of this list of fields.
        graph: Of an own model the packed graph, as the plan has it; empty for a built-in one.
        gram: SHA-256 of each hospital's Gram matrix that the rounds stepped by, without the hospitals' names; empty
            where they stepped by none, and in files of weights that were written before Wanwu 0.3.
        gram_unnamed: Whether the weights were written before Wanwu 0.3 and so name no Gram matrix, though receipts of
            one lay beside them.
    """

    format: Annotated[str, validate.one_of(*FORMATS)]
    name: str
    options: Mapping[str, Any] = field(hash=False)
    image_shape: tuple[int, int, int]
    label_kind: Annotated[str, validate.one_of(*LABEL_KINDS)]
    class_names: Annotated[tuple[str, ...], _labels]
    form: PictureForm | None
    round: int
    model_sha256: Annotated[str, _digest]
    plan_digest: Annotated[str, _digest]
    receipts: Annotated[tuple[str, ...], _digests]
    privacy: tuple[PrivacyCost, ...]
    without_privacy: int
    written_by: Annotated[str, _sentence]
    likeness: Likeness | None = None
    quantisation: Quantisation | None = None
    version: int = ABOUT_VERSION
    graph: str = field(default="", metadata={"added_later": True})
    gram: Annotated[tuple[str, ...], _digests] = field(default=(), metadata={"added_later": True})
    gram_unnamed: bool = field(default=False, metadata={"added_later": True})

    def __post_init__(self) -> None:
        size = self.image_shape
        if self.form is not None and (*self.form.size, self.form.channels) != size:
            raise PlanError(f"form must be of pictures of shape {size}, got {self.form.size} x {self.form.channels}.")
        if self.text_form is None:
            FeatureSpec.of(self.model)

    @property
    def model(self) -> ModelSpec:
        """The model, as a plan names it."""
        options = dict(self.options)
        return ModelSpec(self.name, self.image_shape, len(self.class_names), options, self.label_kind, self.graph)

    @property
    def text_form(self) -> TextForm | None:
        """The form of the report that goes in beside each picture; None where pictures go in alone."""
        return text_form(self.model)

    @property
    def bits(self) -> int:
        """Bits of each value of the pictures that go in, 8 or 16."""
        return 8 if self.form is None else self.form.store_bits

    @property
    def picture_form(self) -> PictureForm:
        """By which picture files are read: the declared form, or that of files which are stretched to the size.

        Raises:
            ModelRefused: The model takes pictures of 2 or 4 channels, which no picture file becomes.
        """
        height, width, channels = self.image_shape
        if channels not in (1, 3):
            raise ModelRefused(f"The model takes arrays of {channels} channels, which no picture file becomes.")
        return self.form or PictureForm((height, width), channels)

    @property
    def promise(self) -> str:
        """What the model may have cost one patient or picture, in a sentence."""
        if self.without_privacy:
            return "At a hospital it was trained without differential privacy: nothing is promised to its patients."
        if not self.privacy:
            return "What it cost the hospitals' patients is not known to this file."
        worst: dict[tuple[str, float], float] = {}
        for cost in self.privacy:
            key = (cost.unit, cost.delta)
            worst[key] = max(cost.epsilon, worst.get(key, 0.0))
        told = [f"{rounded.at_delta(epsilon, delta)} per {unit}" for (unit, delta), epsilon in worst.items()]
        return f"All that the hospitals released for it is differentially private, at most {' and '.join(told)}."

    def to_properties(self) -> dict[str, str]:
        """The properties that a file holds, each value a text."""
        plain = to_plain(self)
        return {PREFIX + name: canonical_json(value) for name, value in plain.items()} | {PROMISE: self.promise}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> Self:
        """Reads what `to_properties` gives; properties of other programs are passed over.

        Raises:
            ModelRefused: There are none of these, or they are not as they were written.
        """
        own = {name: value for name, value in properties.items() if name.startswith(PREFIX)}
        if f"{PREFIX}version" not in own:
            raise ModelRefused(
                "The file says nothing of itself as an exported model does. Export it: python -m researcher export."
            )
        if (version := own[f"{PREFIX}version"]) != str(ABOUT_VERSION):
            raise ModelRefused(
                f"The file's description has version {version!r}, this program reads {ABOUT_VERSION}. Export it again."
            )
        try:
            values = {name.removeprefix(PREFIX): _value(name, own) for name in own if name != PROMISE}
            found = from_plain(cls, values, _changed)
        except PlanError as error:
            raise _changed(error.public) from error
        if found.to_properties() != own:
            raise _changed("it is not as it was written.")
        return found


def _changed(how: str) -> ModelRefused:
    told = how.replace("an answer ", "it ", 1)
    return ModelRefused(f"The file's description of itself was changed: {told} Export the model again.")


def _value(name: str, properties: Mapping[str, str]) -> object:
    text = properties[name]
    try:
        if len(text) > MAX_PROPERTY:
            raise ValueError("too long")
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"The file's property {name!r} does not read. Export the model again.") from error
    return value
