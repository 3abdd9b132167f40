"""Training plans: frozen values that a researcher proposes, a hospital reads, and a run obeys.

A plan crosses the boundary inwards as JSON, pinned in the code request. It is the whole of what differs between
two requests, so its digest stands for what was approved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from policies import validate
from policies.errors import PlanError
from policies.plans import plan_json, ranges
from policies.plans.model_spec import ModelSpec
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.plan_json import canonical_json, sha256_text
from policies.plans.rounds.run_spec import DEVICES, ENGINES, PRECISIONS, RunSpec
from policies.plans.rounds.sampling import POISSON, RANDOM_ALLOCATION, SAMPLINGS, check_sampling, steps_of_epoch
from policies.plans.server.server_spec import ServerSpec
from policies.plans.words.statement import Statement, check_statement
from policies.settings import setting
from policies.versions.needs import added_in

__all__ = [
    "AUGMENTATIONS",
    "DEVICES",
    "ENCODINGS",
    "ENGINES",
    "LATE_UPDATES",
    "MAX_PICTURES_PER_PATIENT",
    "MAX_ROUNDS",
    "MAX_STEPS",
    "PRECISIONS",
    "SAMPLINGS",
    "SCHEDULES",
    "UNITS",
    "ModelSpec",
    "PrivacySpec",
    "RunSpec",
    "ServerSpec",
    "TrainingPlan",
    "canonical_json",
    "sha256_text",
]

UNITS = ("picture", "patient")
SCHEDULES = ("constant", "cosine")
AUGMENTATIONS = ("none", "flips", "flips_and_turns")
# How weights and updates travel; `policies.contracts.encodings` says what each does.
ENCODINGS = ("none", "zstd", "fp16", "int8")
LATE_UPDATES = ("weighted", "dropped")
MAX_ROUNDS, MAX_STEPS = 10_000, 1_000_000
MAX_VIEWS = MAX_PICTURES_PER_PATIENT = 16


@dataclass(frozen=True)
class PrivacySpec:
    """Settings that make training differentially private, in Opacus' spellings.

    Attributes:
        noise_multiplier: Standard deviation of the noise on a step's summed gradients, over max_grad_norm.
        max_grad_norm: L2 bound C on what one privacy unit adds to a step.
        delta: The delta at which epsilon is stated; the hospital fixes the largest it accepts.
        unit: What one record is: a `picture`, or a `patient` with all their pictures.
    """

    noise_multiplier: float
    max_grad_norm: float
    delta: float
    unit: str = "picture"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("noise_multiplier", ranges.NOISE_MULTIPLIER),
            ("max_grad_norm", ranges.MAX_GRAD_NORM),
            ("delta", ranges.DELTA),
        ):
            object.__setattr__(self, name, allowed.check(f"privacy.{name}", getattr(self, name)))
        validate.choice("privacy.unit", self.unit, UNITS)


@dataclass(frozen=True)
class TrainingPlan:
    """One study at one hospital: what is trained, for how long, how privately.

    A round is `steps_per_round` optimiser steps of SGD; each step draws every privacy unit with probability
    `sample_rate` (Poisson sampling), or each unit is drawn into one step of an epoch (random allocation).
    `privacy=None` trains without differential privacy, which a hospital refuses unless its limits allow it. Settings
    that have a default say themselves what they are.

    Attributes:
        study: Name of the study, the same at every hospital.
        dataset: Name of the hospital's dataset.
        model: Which model.
        rounds: Number of rounds that one approval covers.
        steps_per_round: Optimiser steps in one round at the hospital.
        sample_rate: Probability q that a unit joins a step, at most 1.
        learning_rate: Of SGD, in the first round.
        privacy: The privacy settings, or None.
        run: The performance settings.
        statement: Who asks and what for, in the researcher's own words; None where nothing was said.
        server: How the researcher's side makes client updates the next global model.
        objective: What training lowers.
    """

    kind: ClassVar[str] = "training"

    study: str
    dataset: str
    model: ModelSpec
    rounds: int
    steps_per_round: int
    sample_rate: float
    learning_rate: float
    learning_rate_schedule: str = setting(
        "constant, or cosine from learning_rate towards 0 over the study's steps", default="constant", choices=SCHEDULES
    )
    momentum: float = setting("of SGD, below 1; the buffer starts at zero in each round", default=0.0)
    weight_decay: float = setting("L2 penalty added to the (noised) gradient", default=0.0)
    proximal_mu: float = setting(
        "FedProx's term: pull towards the round's global weights (Li et al., MLSys 2020); 0 is FedAvg", default=0.0
    )
    augmentation: str = setting("random change of each drawn picture", default="none", choices=AUGMENTATIONS)
    augmentation_multiplicity: int = setting(
        "how many such changes of each drawn picture a step looks at; its gradient is their mean, before it is "
        "clipped, so they cost no privacy (De et al., 2022)",
        default=1,
    )
    server_momentum: float = setting(
        "share of the last mean update that the researcher keeps, in [0, 1); post-processing, at no cost of privacy",
        default=0.0,
    )
    server_averaging: float = setting(
        "share of the last average that is kept, in [0, 1), if the global model is an average of rounds; 0: it is not",
        default=0.0,
    )
    weights_encoding: str = setting(
        "how global weights come in: zstd is lossless, fp16 and int8 round; training starts from what was decoded",
        default="none",
        choices=ENCODINGS,
    )
    update_encoding: str = setting(
        "how the client update leaves, likewise; applied by the hospital after the output contract, so it is "
        "post-processing and costs no privacy",
        default="none",
        choices=ENCODINGS,
    )
    privacy: PrivacySpec | None = None
    run: RunSpec = field(default_factory=RunSpec)
    pictures_per_patient: int = setting(
        "how many pictures of each drawn patient a step looks at, drawn at random, each again only when there are no "
        "others; their mean gradient is clipped, so they cost no privacy; where the unit is patient",
        default=1,
        metadata=plan_json.ADDED_LATER,
    )
    statement: Statement | None = field(default=None, metadata=plan_json.ADDED_LATER)
    late_updates: str = setting(
        "what becomes of a client update that comes after its round's deadline: weighted uses it once, in a later "
        "round, the less the staler it is; dropped cancels the run; post-processing, at no cost of privacy",
        default="weighted",
        choices=LATE_UPDATES,
        metadata=plan_json.ADDED_LATER,
    )
    server: ServerSpec = field(default=ServerSpec(), metadata=plan_json.ADDED_LATER)
    objective: ObjectiveSpec = field(default=ObjectiveSpec(), metadata=plan_json.ADDED_LATER)
    sampling: str = setting(
        "who joins a step: poisson draws each unit for each step; random_allocation draws, for each unit, one step of "
        "each epoch of 1 / sample_rate steps, which takes less noise; rounds are then whole epochs",
        default="poisson",
        choices=SAMPLINGS,
        metadata=added_in((0, 3)),
    )

    def __post_init__(self) -> None:
        validate.name("study", self.study)
        validate.name("dataset", self.dataset)
        validate.integer("rounds", self.rounds, low=1, high=MAX_ROUNDS)
        validate.integer("steps_per_round", self.steps_per_round, low=1, high=MAX_STEPS)
        for name, allowed in (
            ("sample_rate", ranges.SAMPLE_RATE),
            ("learning_rate", ranges.LEARNING_RATE),
            ("momentum", ranges.MOMENTUM),
            ("weight_decay", ranges.WEIGHT_DECAY),
            ("proximal_mu", ranges.PROXIMAL_MU),
        ):
            object.__setattr__(self, name, allowed.check(name, getattr(self, name)))
        validate.choice("learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        validate.choice("augmentation", self.augmentation, AUGMENTATIONS)
        validate.integer("augmentation_multiplicity", self.augmentation_multiplicity, low=1, high=MAX_VIEWS)
        if self.augmentation_multiplicity > 1 and self.augmentation == "none":
            raise PlanError(
                f"augmentation_multiplicity is {self.augmentation_multiplicity}, but augmentation is 'none': all views "
                "of a picture would be the same. Set it to 1, or choose an augmentation."
            )
        for name in ("server_momentum", "server_averaging"):
            object.__setattr__(self, name, validate.number(name, getattr(self, name), low=0, high=1, open_high=True))
        validate.choice("weights_encoding", self.weights_encoding, ENCODINGS)
        validate.choice("update_encoding", self.update_encoding, ENCODINGS)
        validate.choice("late_updates", self.late_updates, LATE_UPDATES)
        kinds = {"model": ModelSpec, "run": RunSpec, "server": ServerSpec, "objective": ObjectiveSpec}
        for name, kind in kinds.items():
            if not isinstance(value := getattr(self, name), kind):
                raise PlanError(f"{name} must be a {kind.__name__}, got {value!r}.")
        self.model.check_engine(self.run.engine)
        if self.privacy is not None and not isinstance(self.privacy, PrivacySpec):
            raise PlanError(f"privacy must be a PrivacySpec or None, got {self.privacy!r}.")
        self.server.check_beside(
            model=self.model,
            server_momentum=self.server_momentum,
            server_averaging=self.server_averaging,
            proximal_mu=self.proximal_mu,
            momentum=self.momentum,
        )
        self.objective.check_model(self.model)
        check_statement(self.statement)
        check_sampling(self.sampling, sample_rate=self.sample_rate, steps_per_round=self.steps_per_round)
        validate.integer("pictures_per_patient", self.pictures_per_patient, low=1, high=MAX_PICTURES_PER_PATIENT)
        if self.pictures_per_patient > 1 and (self.privacy is None or self.privacy.unit != "patient"):
            raise PlanError(
                f"pictures_per_patient is {self.pictures_per_patient}, but the plan's privacy is not for each patient. "
                "Set it to 1, or privacy.unit to 'patient'."
            )

    @property
    def total_steps(self) -> int:
        """Optimiser steps over all rounds."""
        return self.rounds * self.steps_per_round

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step of the study, counted from 0 over all rounds."""
        if self.learning_rate_schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * step / self.total_steps)) / 2

    def summed_rates(self, round_index: int) -> float:
        """The sum of the learning rates of the steps of round `round_index`, counted from 0."""
        begin = round_index * self.steps_per_round
        return math.fsum(map(self.learning_rate_at, range(begin, begin + self.steps_per_round)))

    @property
    def allocated_over(self) -> int:
        """With random allocation, the steps of an epoch, of which each unit joins exactly one; 0 without."""
        return steps_of_epoch(self.sample_rate) if self.sampling == RANDOM_ALLOCATION else 0

    @property
    def steps(self) -> tuple[float, int, int]:
        """(Sample rate, Gaussian steps, steps of an epoch over which units are allocated) of one round."""
        return self.sample_rate, self.steps_per_round, self.allocated_over

    def shortened(self, steps: int) -> Self:
        """The plan with at most so many steps a round, each with a draw of its own: to try it on made-up pictures."""
        return replace(self, steps_per_round=min(steps, self.steps_per_round), sampling=POISSON)

    def to_json(self) -> str:
        """Canonical JSON: equal plans give equal text."""
        return plan_json.dump(self.kind, self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a training plan back.

        Args:
            text: JSON, as `to_json` writes it.

        Raises:
            PlanError: Not JSON, another kind or version, an unknown or missing field, a value out of range.
        """
        return plan_json.load(text, {cls.kind: cls})

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return sha256_text(self.to_json())
