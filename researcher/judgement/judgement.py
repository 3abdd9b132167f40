"""The declared type of a judgement: all that an evaluation says of a model, for JSON and pages. Public numbers only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from policies import validate
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError
from researcher import atomic_file
from researcher.counts.intervals import Interval
from researcher.html.element import Html, together
from researcher.judgement.judged_model import JudgedModel
from researcher.judgement.pages.page import page_of, sections_of
from researcher.judgement.paired import DeLong, McNemar
from researcher.judgement.reliability import ReliabilityBin

JUDGEMENT_VERSION = 1
FEW = 30
"""Patients, or pictures, below which a class or a group is named as small."""
Scores = Mapping[str, Interval | None]


@dataclass(frozen=True)
class JudgedData:
    """What it was judged on.

    Attributes:
        source: File or folder, by its name.
        pictures: How many.
        unit: What the bootstrap draws: `patient`, or `picture` where patients are not known.
        units: How many of these.
        left_out: Pictures that could not be read, by name and reason.
        converted: How pictures of another form became the model's; empty where they had it.
        copies: Pictures with exactly the pixels and the label of another one.
        in_two_classes: Pictures with exactly the pixels of another one and another label.
    """

    source: str
    pictures: int
    unit: Annotated[str, validate.one_of("patient", "picture")]
    units: int
    left_out: tuple[str, ...]
    converted: str
    copies: int = 0
    in_two_classes: int = 0


@dataclass(frozen=True)
class ClassJudgement:
    """How well one class, or one finding, is told from the rest.

    Attributes:
        name: Of the class.
        known: Pictures of which it is known.
        present: Of these, those that are of it, or have it.
        units: Patients, or pictures, with such a picture.
        scores: By name; None where nothing can be said, as of a class that is absent.
        roc: Corners of the curve: false alarm rate and sensitivity; none where there is no curve.
    """

    name: str
    known: int
    present: int
    units: int
    scores: Scores
    roc: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Temperature:
    """What dividing the model's logits by one number does to its calibration.

    Attributes:
        value: The number; above 1 the model is too sure of itself.
        chosen_on: The pictures that it was chosen on, none of which is among the test data.
        pictures: How many they are.
        shared_patients: How many of their patients the test data have too, as far as both name patients.
        scores: `ece`, `adaptive_ece` and `brier` on the test data, once divided.
        bins: Likewise.
    """

    value: float
    chosen_on: str
    pictures: int
    shared_patients: int
    scores: Scores
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Group:
    """The scores on a part of the test data: a hospital's pictures, or those of one value of a column.

    Attributes:
        column: What the parts are made by.
        value: Of this part.
        pictures: How many.
        units: Patients, or pictures.
        scores: By name; None where nothing can be said.
        absent: Classes of which it has no picture.
    """

    column: str
    value: str
    pictures: int
    units: int
    scores: Scores
    absent: tuple[str, ...]


@dataclass(frozen=True)
class ComparedClass:
    """Two models' AUROCs of one class.

    Attributes:
        name: Of the class.
        delong: None without a picture of either kind.
        p_together: Its p value where all classes are to hold together.
        mcnemar: Which pictures of a finding either tells right; None where labels are classes, which are told once.
    """

    name: str
    delong: DeLong | None
    p_together: float | None
    mcnemar: McNemar | None


@dataclass(frozen=True)
class Comparison:
    """The model beside another on the same pictures; a difference is the model's score less the other's.

    Attributes:
        other: The other model.
        differences: By score, with the bootstrap's interval over the same draws.
        mcnemar: Which pictures either gets right; None where labels are findings.
        classes: Each class.
    """

    other: JudgedModel
    differences: Scores
    mcnemar: McNemar | None
    classes: tuple[ComparedClass, ...]


@dataclass(frozen=True)
class Speed:
    """How fast the model is and what it takes, measured in a process of its own, one picture at a time.

    Attributes:
        median_ms: Half of the calls took less, milliseconds.
        p95_ms: 95 of 100 calls took less.
        calls: How many were timed.
        threads: That computed each.
        peak_memory_mb: Most memory that the process held, with all libraries.
    """

    median_ms: float
    p95_ms: float
    calls: int
    threads: int
    peak_memory_mb: float


@dataclass(frozen=True)
class Judgement:
    """All that an evaluation says of a model.

    Attributes:
        model: Which.
        data: On what.
        draws: Of the bootstrap.
        seed: Likewise.
        scores: Of all classes together, by name.
        classes: Each class or finding.
        confusion: Counts; rows are true classes, columns predicted; empty for findings.
        bins: The reliability diagram's: of the likeliest class, or of every known finding.
        temperature: None where no pictures to choose it on were given.
        groups: Parts of the test data.
        comparison: None where no other model was given.
        speed: None where it was not measured.
        cautions: Sentences on what limits these numbers.
        version: Of this list of fields.
    """

    model: JudgedModel
    data: JudgedData
    draws: int
    seed: int
    scores: Scores
    classes: tuple[ClassJudgement, ...]
    confusion: tuple[tuple[int, ...], ...]
    bins: tuple[ReliabilityBin, ...]
    temperature: Temperature | None
    groups: tuple[Group, ...]
    comparison: Comparison | None
    speed: Speed | None
    cautions: tuple[str, ...]
    version: int = JUDGEMENT_VERSION

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes of which the test data have no picture."""
        return tuple(one.name for one in self.classes if not one.present)

    def to_json(self) -> str:
        """JSON with every field."""
        return json.dumps(to_plain(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads what `to_json` writes.

        Args:
            text: JSON.

        Raises:
            ConfigError: It is something else, or of another version.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError("Expected a judgement as JSON, got something else.") from error
        version = values.get("version") if isinstance(values, dict) else None
        if version != JUDGEMENT_VERSION:
            raise ConfigError(f"Expected a judgement of version {JUDGEMENT_VERSION}, got {version!r}.")
        return from_plain(cls, values, lambda told: ConfigError(f"This is no judgement: {told}"))

    def save(self, path: Path | str) -> Path:
        """Writes the JSON in one step.

        Args:
            path: Of the file.
        """
        return atomic_file.write(path, self.to_json())

    def save_page(self, path: Path | str) -> Path:
        """Writes the page: one file that asks for nothing from anywhere.

        Args:
            path: Of the file.
        """
        return atomic_file.write(path, page_of(self))

    def _repr_html_(self) -> Html:
        return together(*sections_of(self))
