"""Answers of a served model, as declared types: of a picture its classes and its look, never its content or name."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_MODEL = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class ClassProbability(_Answer):
    """A class, or a finding, with its probability."""

    name: str = Field(examples=["pneumonia"])
    probability: float = Field(examples=[0.91])


class Unlike(_Answer):
    """Whether a picture looks like the public pictures that the server was given of the model's kind."""

    flagged: bool = Field(description="distance is above threshold: do not trust the classes without a look")
    distance: float = Field(examples=[3.2])
    threshold: float = Field(examples=[6.1])
    false_alarm_rate: float = Field(description="most of pictures like the public ones that are flagged, on average")


class PictureAnswer(_Answer):
    """What the model says of one picture."""

    classes: list[ClassProbability] = Field(description="most probable first")
    unlike_training: Unlike | None = Field(description="null where the server was given no public pictures")


class Classified(_Answer):
    """The answer of a classification, its pictures in the order in which they were sent."""

    model: str = Field(description="SHA-256 of the weights that were exported", examples=[EXAMPLE_MODEL])
    label_kind: str = Field(
        description="single: the probabilities of a picture add up to 1; multi: each finding has its own",
        examples=["single"],
    )
    pictures: list[PictureAnswer]
    use: str = Field(description="what the model may be used for")


class SaliencyMap(_Answer):
    """How much less probable a class becomes where a part of the picture is covered."""

    model: str = Field(examples=[EXAMPLE_MODEL])
    name: str = Field(description="the class", examples=["pneumonia"])
    probability: float = Field(description="of the class, with nothing covered", examples=[0.91])
    drops: list[list[float]] = Field(description="by rows, from the top left; negative: the class became more probable")
    means: str
    seen: str = Field(description="the picture as the model sees it, PNG in base64")


class UsualLookFacts(_Answer):
    """How it is told that a picture is unlike the training pictures."""

    pictures: int = Field(description="public pictures that were compared")
    false_alarm_rate: float = Field(description="most of pictures like these that are flagged, on average")
    cannot: str = Field(description="what is not noticed")


class ModelFacts(_Answer):
    """What the served file says of itself."""

    model: str
    name: str
    format: str
    label_kind: str
    class_names: list[str]
    image_shape: tuple[int, int, int] = Field(description="height, width, channels that the model sees")
    promise: str = Field(description="what the model may have cost a patient or picture, whichever is protected")
    unlike_training: UsualLookFacts | None
    use: str
    max_pictures: int
    max_request_bytes: int


class Health(_Answer):
    """Whether the process lives, and whether it takes requests."""

    live: bool = True
    ready: bool


class ErrorAnswer(_Answer):
    """The one shape of every error."""

    code: str = Field(examples=["WW201"])
    error: str = Field(examples=["A picture was not taken: The file is cut short or damaged. Send the whole file."])
