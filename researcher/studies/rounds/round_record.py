"""The record of one round, as the researcher saw it: public numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from datasites.training.finding_metrics import FindingScores, macro_auroc
from policies.errors import FederationError

PHASES = ("queue", "transfer", "train", "aggregate", "total")
OF_SOME = {"findings", "staleness", "under_way"}
"""Fields that only some rounds have."""


@dataclass(frozen=True)
class RoundRecord:
    """One round, as the researcher saw it.

    Attributes:
        round: 1 for the first: the number of rounds in the global model that the scores are of.
        datasites: Those whose client update is in the mean; none in a round that was given up, after which the global
            model is what it was before.
        test_accuracy: Of the global model after the round, on the public hold-out, as `Evaluation.accuracy`.
        macro_f1: Likewise.
        confusion: Likewise, (num_classes, num_classes): rows are true classes, columns predicted. Empty for findings.
        seconds: Wall clock of each of `PHASES`.
        bytes_up: From the researcher to all datasites together.
        bytes_down: From all datasites together to the researcher.
        epsilon: Datasite → spent by the study up to this round; empty where nothing is private.
        skipped: Datasite → public reason why its update is not in the mean.
        findings: How well each finding is told on the public hold-out; empty where labels are classes.
        staleness: Of late updates in the mean: datasite → how many rounds before this one it was asked for.
        under_way: Datasite → the round that it was asked for and whose client update is still to come.
    """

    round: int
    datasites: tuple[str, ...]
    test_accuracy: float
    macro_f1: float
    confusion: tuple[tuple[int, ...], ...]
    seconds: Mapping[str, float]
    bytes_up: int
    bytes_down: int
    epsilon: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[FindingScores, ...] = ()
    staleness: Mapping[str, int] = field(default_factory=dict)
    under_way: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.seconds) != set(PHASES):
            raise FederationError(f"seconds must name {', '.join(PHASES)}, got {', '.join(self.seconds)}.")
        if not self.datasites and not self.skipped:
            raise FederationError(f"Round {self.round} names no datasite: neither one in the mean nor one without.")
        object.__setattr__(self, "findings", tuple(map(_finding, self.findings)))
        numbers = [self.test_accuracy, self.macro_f1, *self.seconds.values(), *self.epsilon.values()]
        numbers += [value for finding in self.findings for value in vars(finding).values() if value is not None]
        if not all(math.isfinite(number) for number in numbers):
            raise FederationError(f"Round {self.round} holds a number that is not finite.")
        object.__setattr__(self, "datasites", tuple(self.datasites))
        rows = tuple(tuple(int(count) for count in row) for row in self.confusion)
        object.__setattr__(self, "confusion", rows)
        for name in ("seconds", "epsilon", "skipped", "staleness", "under_way"):
            object.__setattr__(self, name, dict(getattr(self, name)))

    @property
    def macro_auroc(self) -> float | None:
        """Mean AUROC over the findings that have one; None where none has, or labels are classes."""
        return macro_auroc(self.findings)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON; without what only some rounds have, where it is empty."""
        return {name: value for name, value in asdict(self).items() if value or name not in OF_SOME}


def _finding(values: FindingScores | Mapping[str, Any]) -> FindingScores:
    return values if isinstance(values, FindingScores) else FindingScores(**values)
