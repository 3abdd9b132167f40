"""Plans that release sums instead of weights: how a model does on private pictures, and what the pictures are like.

Each round of such a plan is one release of sums over all privacy units with Gaussian noise on every number. A unit adds
one picture to counts: its own, or for a patient one drawn at random. Where labels are findings, that picture adds to
the sums of each of them. To a Gram matrix a unit adds the mean over its pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Self

from policies import validate
from policies.errors import PlanError
from policies.plans import plan_json, ranges
from policies.plans.features import width_of
from policies.plans.picture_form import LABEL_KINDS
from policies.plans.plan_json import sha256_text
from policies.plans.training import MAX_ROUNDS, UNITS, ModelSpec, RunSpec
from policies.plans.words.statement import Statement, check_statement

MAX_SCORE_BINS = 200
MAX_GRAM_INPUTS = 2100
MAX_GRAM_NOISE = 1000.0  # the lattice of more noise would move what a unit adds


@dataclass(frozen=True)
class ReleaseSpec:
    """Settings that make a release of sums differentially private.

    Attributes:
        noise_multiplier: Standard deviation of the noise on each number, over the most that one unit can change all of
            them together in L2 norm.
        delta: The delta at which epsilon is stated.
        unit: What one record is: a `picture`, or a `patient`.
    """

    noise_multiplier: float
    delta: float
    unit: str = "picture"

    def __post_init__(self) -> None:
        for name, allowed in (("noise_multiplier", ranges.NOISE_MULTIPLIER), ("delta", ranges.DELTA)):
            object.__setattr__(self, name, allowed.check(f"privacy.{name}", getattr(self, name)))
        validate.choice("privacy.unit", self.unit, UNITS)


class ReleasePlan:
    """Plans that release sums: the part that all kinds of them share."""

    kind: ClassVar[str]
    weights_encoding: ClassVar[str] = "none"
    update_encoding: ClassVar[str] = "none"

    rounds: int

    @property
    def total_steps(self) -> int:
        """Releases over all rounds."""
        return self.rounds

    @property
    def steps(self) -> tuple[float, int]:
        """(Sample rate, Gaussian steps) of one round, for the accountant: everybody is in the one release."""
        return 1.0, 1

    def to_json(self) -> str:
        """Canonical JSON: equal plans give equal text."""
        return plan_json.dump(self.kind, self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads such a plan back from the JSON `text`; PlanError if it does not read exactly."""
        return plan_json.load(text, {cls.kind: cls})

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return sha256_text(self.to_json())


@dataclass(frozen=True)
class EvaluationPlan(ReleasePlan):
    """How well global models do on a hospital's pictures: noised counts, and score histograms for AUROC.

    Of a model of classes the counts are a confusion matrix. Of a model of findings they are, for each, how many
    pictures have it or have it not, by what the model says; a picture of which that is not known counts nowhere.

    Attributes:
        study: Name of the study; its evaluations and its training count together.
        dataset: Name of the hospital's dataset.
        model: The model whose weights come in.
        rounds: How many models may be evaluated.
        privacy: The noise.
        score_bins: Bins of the score histograms, 2 or more; 0 releases none.
        run: The performance settings.
        statement: Who asks and what for, in the researcher's own words; None where nothing was said.
    """

    kind: ClassVar[str] = "evaluation"

    study: str
    dataset: str
    model: ModelSpec
    rounds: int
    privacy: ReleaseSpec
    score_bins: int = 0
    run: RunSpec = field(default_factory=RunSpec)
    statement: Statement | None = field(default=None, metadata=plan_json.ADDED_LATER)

    def __post_init__(self) -> None:
        _check_common(self.study, self.dataset, self.rounds, self.privacy, self.run)
        check_statement(self.statement)
        validate.integer("score_bins", self.score_bins, low=0, high=MAX_SCORE_BINS)
        if self.score_bins == 1:
            raise PlanError("score_bins must be 0 (no histograms) or at least 2, got 1.")
        if not isinstance(self.model, ModelSpec):
            raise PlanError(f"model must be a ModelSpec, got {self.model!r}.")

    @property
    def sensitivity(self) -> float:
        """L2 norm of what one unit adds at most: one cell of the matrix, or of each finding's counts, and one bin in
        each class's or finding's histograms."""
        classes = self.model.num_classes
        return math.sqrt((classes if self.model.label_kind == "multi" else 1) + (classes if self.score_bins else 0))

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what leaves: `confusion` (true class, predicted class), or for findings `finding_counts`
        (finding, 0 where it is absent and 1 where it is present, likewise what the model says); and, if asked for,
        `scores` (class or finding, 0 for pictures without it and 1 for those with it, bin of its probability)."""
        classes = self.model.num_classes
        scores = {"scores": (classes, 2, self.score_bins)} if self.score_bins else {}
        if self.model.label_kind == "multi":
            return {"finding_counts": (classes, 2, 2), **scores}
        return {"confusion": (classes, classes), **scores}


@dataclass(frozen=True)
class StatisticsPlan(ReleasePlan):
    """What a hospital's pictures are like, before a study is spent on them: class counts, channel means and spreads.

    Attributes:
        study: Name of the study; its statistics and its training count together.
        dataset: Name of the hospital's dataset.
        image_shape: (height, width, channels), as the dataset's schema says.
        num_classes: As the dataset's schema says.
        privacy: The noise.
        rounds: How many such releases; more than one only averages the noise.
        run: The performance settings.
        label_kind: As the dataset's schema says: `single`, or `multi` where each class is a finding.
        statement: Who asks and what for, in the researcher's own words; None where nothing was said.
    """

    kind: ClassVar[str] = "statistics"

    study: str
    dataset: str
    image_shape: tuple[int, int, int]
    num_classes: int
    privacy: ReleaseSpec
    rounds: int = 1
    run: RunSpec = field(default_factory=RunSpec)
    label_kind: str = field(default="single", metadata=plan_json.ADDED_LATER)
    statement: Statement | None = field(default=None, metadata=plan_json.ADDED_LATER)

    def __post_init__(self) -> None:
        _check_common(self.study, self.dataset, self.rounds, self.privacy, self.run)
        check_statement(self.statement)
        validate.choice("label_kind", self.label_kind, LABEL_KINDS)
        shape = ModelSpec("statistics", self.image_shape, self.num_classes)
        object.__setattr__(self, "image_shape", shape.image_shape)

    @property
    def sensitivity(self) -> float:
        """L2 norm of what one unit adds at most: one class count, or one count of each finding, and for each channel
        its mean and mean square in [0, 1]."""
        return math.sqrt((self.num_classes if self.label_kind == "multi" else 1) + 2 * self.image_shape[2])

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what leaves: sums over units of one-hot class, or of each finding one-hot whether it is
        absent, present or unknown; of channel means, and of channel mean squares."""
        channels = self.image_shape[2]
        sums = {"channel_sums": (channels,), "channel_square_sums": (channels,)}
        if self.label_kind == "multi":
            return {"finding_counts": (self.num_classes, 3), **sums}
        return {"class_counts": (self.num_classes,), **sums}


@dataclass(frozen=True)
class GramPlan(ReleasePlan):
    """How the features that a linear head reads go together: their noised Gram matrix, which later steps start from.

    The matrix is the sum over privacy units of the mean over the unit's pictures of x x^T. The row x of a picture is
    its features and a 1, for the head's bias, divided by the root of their number, or by their length where that is
    more: so its length is at most 1.

    Attributes:
        study: Name of the study that pays for it.
        dataset: Name of the hospital's dataset.
        model: The head whose inputs are meant: `scattering_linear`, or `features`.
        privacy: The noise; a noise multiplier of at most 1000.
        rounds: 1, the one release.
        run, statement: As of `StatisticsPlan`.
    """

    kind: ClassVar[str] = "gram"

    study: str
    dataset: str
    model: ModelSpec
    privacy: ReleaseSpec
    rounds: int = 1
    run: RunSpec = field(default_factory=RunSpec)
    statement: Statement | None = field(default=None, metadata=plan_json.ADDED_LATER)

    def __post_init__(self) -> None:
        _check_common(self.study, self.dataset, self.rounds, self.privacy, self.run)
        check_statement(self.statement)
        if not isinstance(self.model, ModelSpec):
            raise PlanError(f"model must be a ModelSpec, got {self.model!r}.")
        width = width_of(self.model)
        if width is None or width >= MAX_GRAM_INPUTS:
            raise PlanError(
                f"A Gram matrix is of the features that a linear head reads, fewer than {MAX_GRAM_INPUTS}: model must "
                f"be scattering_linear or features, got {self.model.name!r}."
            )
        if self.rounds != 1:
            raise PlanError(f"A Gram matrix is released once: rounds must be 1, got {self.rounds}.")
        if self.privacy.noise_multiplier > MAX_GRAM_NOISE:
            noise = self.privacy.noise_multiplier
            raise PlanError(f"privacy.noise_multiplier of a Gram matrix is at most {MAX_GRAM_NOISE:g}, got {noise:g}.")

    @property
    def inputs(self) -> int:
        """Length of a row: the features and the bias's 1."""
        return (width_of(self.model) or 0) + 1

    @property
    def sensitivity(self) -> float:
        """The most that one unit adds in L2 norm, `products` counted by the root of 2: the Frobenius norm of x x^T."""
        return 1.0

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what leaves: the diagonal; what is above it by rows, with noise over the root of 2."""
        return {"squares": (self.inputs,), "products": (self.inputs * (self.inputs - 1) // 2,)}


def _check_common(study: str, dataset: str, rounds: int, privacy: ReleaseSpec, run: RunSpec) -> None:
    validate.name("study", study)
    validate.name("dataset", dataset)
    validate.integer("rounds", rounds, low=1, high=MAX_ROUNDS)
    for name, value, kind in (("privacy", privacy, ReleaseSpec), ("run", run, RunSpec)):
        if not isinstance(value, kind):
            raise PlanError(f"{name} must be a {kind.__name__}, got {value!r}.")
