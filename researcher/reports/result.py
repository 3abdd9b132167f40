"""A finished study as one value and as `result.json`. Made of released numbers only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from policies.errors import FederationError
from policies.plans.training import TrainingPlan
from policies.untrusted_text import in_one_form
from researcher import atomic_file
from researcher.counts.saved import SavedCounts
from researcher.evaluation.evaluation import Evaluation
from researcher.reports.participation import Participation, participation
from researcher.studies.history import History, PrivacySpent, RoundRecord
from researcher.studies.taking_part.canary_end import CanaryEnd
from researcher.studies.taking_part.invited import Invited


@dataclass(frozen=True)
class StudyResult:
    """All that a report tells of a study.

    Attributes:
        plan: What was approved; where datasets have other names, that of any one hospital.
        class_names: Of the classes or findings, in the order of the model's outputs.
        parameters: How many numbers were trained.
        public_sizes: Datasite → declared number of privacy units, None where it could not be asked; names all datasites
            of the study, in order.
        privacy: Datasite → what the study spent there; None where training was not private, or never ran.
        history: At least one round.
        local_only: Datasite → how as many steps at the same cost do on its pictures alone; may name fewer datasites.
        privacy_total: Datasite → what the study spent together with its local-only baseline, or with the Gram matrix
            that it steps by; empty where it has neither.
        versions: Host → component → version.
        finished: When, for people, such as `4 May 2027, 10:21`.
        counts: What hospitals released on requests for counts that belong to the study: statistics of the dataset, or
            evaluations of its global model.
        simulated: How its hospitals were made up; empty where they are real.
        own_models: Made-up hospital → how the model does that it ends with, on the hold-out; empty where hospitals end
            with none of their own, or are real: nobody has what stays there.
        at_home: Made-up hospital → accuracy of the model that it would use, its own or the global one, on hold-out
            pictures weighted to its own mix of classes; may name fewer hospitals.
        canaries: Datasite → how its canary ended last, of those that ran one.
        gram_noise: Noise multiplier of the Gram matrix that it steps by, a request of its own; None where it has none.
        invited: Datasite → when it was asked, of those that were after the others.
    """

    plan: TrainingPlan
    class_names: tuple[str, ...]
    parameters: int
    public_sizes: Mapping[str, int | None]
    privacy: Mapping[str, PrivacySpent | None]
    history: History
    local_only: Mapping[str, Evaluation] = field(default_factory=dict)
    privacy_total: Mapping[str, PrivacySpent | None] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    finished: str = ""
    counts: tuple[SavedCounts, ...] = ()
    simulated: str = ""
    own_models: Mapping[str, Evaluation] = field(default_factory=dict)
    at_home: Mapping[str, float] = field(default_factory=dict)
    gram_noise: float | None = None
    canaries: Mapping[str, CanaryEnd] = field(default_factory=dict)
    invited: Mapping[str, Invited] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rounds:
            raise FederationError("A study has a result after its first round, none is done.")
        known = set(self.public_sizes)
        if set(self.privacy) != known:
            raise FederationError(
                f"Expected privacy for {', '.join(sorted(known))}, got {', '.join(sorted(self.privacy))}."
            )
        for name in ("local_only", "privacy_total", "canaries", "own_models", "at_home", "invited"):
            if unknown := sorted(set(getattr(self, name)) - known):
                raise FederationError(f"{name} names {unknown[0]!r}, which is no datasite of the study.")
        for one in self.counts:
            self._check_belongs(one)
        scored = len(self.final.findings or self.final.confusion)
        if len(self.class_names) != scored:
            what = "one for each finding" if self.final.findings else "a row of the confusion matrix each"
            raise FederationError(f"Expected {scored} class names, {what}, got {len(self.class_names)}.")

    def _check_belongs(self, counts: SavedCounts) -> None:
        """Refuses counts of another dataset, of other classes, or of another study's model."""
        is_same = in_one_form(counts.class_names) == in_one_form(self.class_names)
        if not is_same or counts.plan.dataset != self.plan.dataset:
            raise FederationError(
                f"The counts are of the dataset {counts.plan.dataset!r} with {', '.join(counts.class_names)}; the "
                f"study's is {self.plan.dataset!r} with {', '.join(self.class_names)}."
            )
        if counts.of_study not in ("", self.plan.digest()):
            raise FederationError("The counts are of another study's model: its plan has another digest.")

    @property
    def datasites(self) -> tuple[str, ...]:
        """Names of the study's datasites."""
        return tuple(self.public_sizes)

    @property
    def rounds(self) -> list[RoundRecord]:
        """The rounds, in order."""
        return self.history.records

    @property
    def final(self) -> RoundRecord:
        """The last round: its scores are the global model's."""
        return self.rounds[-1]

    @property
    def noun_of_classes(self) -> str:
        """What the model's outputs are."""
        return "findings" if self.plan.model.label_kind == "multi" else "classes"

    @property
    def took_part(self) -> tuple[str, ...]:
        """Datasites whose updates are in the global model."""
        updated = {name for record in self.rounds for name in record.datasites}
        return tuple(name for name in self.datasites if name in updated)

    @property
    def participation(self) -> dict[str, Participation]:
        """Datasite → its part in the study."""
        return {name: participation(name, self.rounds) for name in self.datasites}

    @property
    def not_private(self) -> tuple[str, ...]:
        """Datasites whose updates are in the global model, where something has no known privacy cost."""
        return tuple(
            name
            for name in self.took_part
            if None in (self.privacy[name], self.privacy_total.get(name, self.privacy[name]))
        )

    @property
    def bytes_per_round(self) -> int:
        """Mean bytes of a round, both ways, all datasites together."""
        return round(sum(r.bytes_up + r.bytes_down for r in self.rounds) / len(self.rounds))

    def to_dict(self) -> dict[str, object]:
        """Plain values, as `result.json` holds them; those of findings are there where labels are findings."""
        return {
            "datasites": list(self.datasites),
            "took_part": list(self.took_part),
            "hospitals": {name: one.to_dict() for name, one in self.participation.items()},
            "rounds": len(self.rounds),
            "privacy": _spent(self.privacy),
            "test_accuracy": [r.test_accuracy for r in self.rounds],
            "macro_f1": [r.macro_f1 for r in self.rounds],
            "local_only_accuracy": {name: e.accuracy for name, e in self.local_only.items()},
            "round_seconds": [dict(r.seconds) for r in self.rounds],
            "bytes_per_round": self.bytes_per_round,
            "model": self.plan.model.name,
            "parameters": self.parameters,
            "class_names": list(self.class_names),
            "confusion": [list(row) for row in self.final.confusion],
            "local_only_macro_f1": {name: e.macro_f1 for name, e in self.local_only.items()},
            "privacy_total": _spent(self.privacy_total),
            "public_sizes": dict(self.public_sizes),
            "history": json.loads(self.history.to_json()),
            "local_only": _evaluations(self.local_only),
            "finished": self.finished,
            "versions": {host: dict(versions) for host, versions in self.versions.items()},
            "plan": json.loads(self.plan.to_json()),
            **({"canaries": {name: asdict(end) for name, end in self.canaries.items()}} if self.canaries else {}),
            **({"invited": {name: asdict(one) for name, one in self.invited.items()}} if self.invited else {}),
            **({"simulated": self.simulated} if self.simulated else {}),
            **({"own_models": _evaluations(self.own_models)} if self.own_models else {}),
            **({"at_home": dict(self.at_home)} if self.at_home else {}),
            **({"gram_noise": self.gram_noise} if self.gram_noise is not None else {}),
            **({"counts": [one.to_dict() for one in self.counts]} if self.counts else {}),
            **(self._of_findings() if self.final.findings else {}),
        }

    def _of_findings(self) -> dict[str, object]:
        names = self.class_names
        return {
            "label_kind": self.plan.model.label_kind,
            "macro_auroc": [r.macro_auroc for r in self.rounds],
            "findings": {name: asdict(one) for name, one in zip(names, self.final.findings, strict=True)},
            "local_only_macro_auroc": {name: e.macro_auroc for name, e in self.local_only.items()},
        }


def write_result(path: Path | str, result: StudyResult) -> Path:
    """Writes `result.json`: the study's numbers for programs.

    Raises:
        ConfigError: The folder cannot be written.
    """
    return atomic_file.write(path, json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n")


def _spent(privacy: Mapping[str, PrivacySpent | None]) -> dict[str, object]:
    return {name: None if spent is None else asdict(spent) for name, spent in privacy.items()}


def _evaluations(scores: Mapping[str, Evaluation]) -> dict[str, object]:
    return {name: _evaluation(one) for name, one in scores.items()}


def _evaluation(scores: Evaluation) -> dict[str, object]:
    """Plain values; None for the recall of a class that the hold-out lacks."""
    recall = [None if math.isnan(share) else share for share in scores.recall]
    return {**asdict(scores), "recall": recall}
