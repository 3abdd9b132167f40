"""A rehearsal at home: some steps of a plan on the hospitals' mock, by the code that trains there; nothing is spent."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policies.answers import rounded
from policies.plans.training import TrainingPlan
from policies.untrusted_text import shown
from researcher.hospitals.hospital import DatasetInfo
from researcher.html.element import Html, listed, table, together
from researcher.planning.planning import study_epsilon
from researcher.reports import wording

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation


@dataclass(frozen=True)
class HomeRehearsal:
    """What a few steps on the mock came to on this machine.

    Attributes:
        seconds_a_step: The median of those after the first.
        seconds_a_round: What a round would take here at the largest hospital's public size, without the network.
        rounds: How many the plan has.
        peak_memory_mb: Most memory that this program held so far, with its libraries.
        epsilon: What the whole study costs at each hospital; None without differential privacy.
        delta: At which it is stated.
        bytes_up: Of one round's global weights, to one hospital.
        bytes_down: Of its client update.
        largest: The datasite whose public size was taken.
        refusals: Datasite → why its limits would refuse the plan.
    """

    seconds_a_step: float
    seconds_a_round: float
    rounds: int
    peak_memory_mb: int
    epsilon: float | None
    delta: float | None
    bytes_up: int
    bytes_down: int
    largest: str
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the steps ran and every hospital's limits allow the plan."""
        return not self.refusals

    def __repr__(self) -> str:
        lines = [f"{what}: {value}" for what, value in self._told()]
        return "\n".join(shown(line) for line in [self._verdict(), *(f"  {one}" for one in (*lines, *self._refused()))])

    def _repr_html_(self) -> Html:
        rehearsed = table("Rehearsal at home, on the mock", ["what", "measured"], self._told())
        return together(self._verdict(), rehearsed, listed(self._refused()))

    def _verdict(self) -> str:
        if self.passed:
            return "The rehearsal passes: its steps ran on the mock, and every hospital's limits allow the plan."
        return f"The steps ran, but the plan would be refused by {', '.join(self.refusals)}."

    def _refused(self) -> list[str]:
        return [f"{name}: {why}" for name, why in self.refusals.items()]

    def _told(self) -> list[tuple[str, str]]:
        cost = "without differential privacy"
        if self.epsilon is not None and self.delta is not None:
            cost = f"epsilon {rounded.cost(self.epsilon)} at delta {wording.number(self.delta)} at each hospital"
        whole = wording.seconds(self.rounds * self.seconds_a_round)
        return [
            ("a step", wording.seconds(self.seconds_a_step)),
            ("a round", f"{wording.seconds(self.seconds_a_round)} here, at the public size of {self.largest}"),
            ("all rounds", f"{whole} here, without the network"),
            ("memory", f"{self.peak_memory_mb:,} MB at most, with the libraries"),
            ("privacy", cost),
            ("to each hospital", f"{wording.size(self.bytes_up)} a round"),
            ("from each hospital", f"{wording.size(self.bytes_down)} a round"),
        ]


def rehearse(
    federation: Federation, plan: TrainingPlan, datasets: Sequence[DatasetInfo], refusals: Mapping[str, str]
) -> HomeRehearsal:
    """Runs some steps of a plan on the mock of the hospital with the largest public size; its result is not kept.

    Args:
        federation: The hospitals.
        plan: What would be submitted.
        datasets: What they publish under the plan's dataset.
        refusals: Datasite → why its limits would refuse the plan.

    Raises:
        WanwuError: What the round would fail with at a hospital.
    """
    from researcher.notebook.mock_steps import take_steps

    largest = max(datasets, key=lambda one: one.public_size)
    steps = take_steps(federation.hospitals[largest.datasite].mock(plan.dataset), plan, largest)
    return HomeRehearsal(
        seconds_a_step=steps.seconds_a_step,
        seconds_a_round=steps.preparing_seconds + plan.steps_per_round * steps.seconds_a_step,
        rounds=plan.rounds,
        peak_memory_mb=_peak_memory_mb(),
        epsilon=study_epsilon(plan),
        delta=None if plan.privacy is None else plan.privacy.delta,
        bytes_up=steps.bytes_up,
        bytes_down=steps.bytes_down,
        largest=largest.datasite,
        refusals=dict(refusals),
    )


def _peak_memory_mb() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // (1024 * 1024 if sys.platform == "darwin" else 1024)
