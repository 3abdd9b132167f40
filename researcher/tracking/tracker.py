"""A tracker is told of a study's rounds as they end: the numbers of its history, under the names given here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from policies.plans import plan_json
from policies.plans.training import TrainingPlan
from researcher.studies.checkpoints import load_state
from researcher.studies.history import RoundRecord
from researcher.studies.kept_plan import read_plan

MOST_IN_A_PARAMETER = 250


class Tracker(Protocol):
    """Something that keeps what is known of each round."""

    def begin(self, plan: TrainingPlan) -> None:
        """Opens it for the study of a plan, of which it may have seen a part."""

    def round(self, record: RoundRecord) -> None:
        """Takes the record of a round that ended."""

    def end(self) -> None:
        """Closes it."""


def replay(folder: Path | str, tracker: Tracker) -> None:
    """Tells a tracker of the rounds that are done, as `Study.run` would have; asks no hospital.

    Args:
        folder: Of the study.
        tracker: Told.

    Raises:
        ConfigError: The folder holds no study, or was changed.
    """
    plan, _ = read_plan(folder)
    saved = load_state(folder, plan_digest=plan.digest())
    tracker.begin(plan)
    try:
        for record in saved[1].records if saved else ():
            tracker.round(record)
    finally:
        tracker.end()


def numbers_of(record: RoundRecord) -> Mapping[str, float]:
    """The numbers of a round by name: scores are shares of 1, `seconds/` and `bytes/` say their unit, `epsilon/` has a
    number for each hospital."""
    scores = {"accuracy": record.test_accuracy, "macro_f1": record.macro_f1}
    if record.macro_auroc is not None:
        scores["macro_auroc"] = record.macro_auroc
    return {
        **{f"score/{name}": value for name, value in scores.items()},
        **{f"seconds/{phase}": seconds for phase, seconds in record.seconds.items()},
        "bytes/up": float(record.bytes_up),
        "bytes/down": float(record.bytes_down),
        "hospitals/in_the_mean": float(len(record.datasites)),
        "hospitals/without": float(len(record.skipped)),
        **{f"epsilon/{name}": spent for name, spent in record.epsilon.items()},
    }


def settings_of(plan: TrainingPlan) -> Mapping[str, str]:
    """The settings of a plan by name, `privacy.noise_multiplier` for a part's; without its statement about people."""
    values = plan_json.settings(plan)
    values.pop("statement", None)
    return {name: value[:MOST_IN_A_PARAMETER] for name, value in _leaves(values, "")}


def _leaves(values: Mapping[str, object], before: str) -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", str(value)))
    return found
